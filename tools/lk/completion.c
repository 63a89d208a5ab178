/* completion.c - lk completion: scripts for bash and zsh.
 *
 * The scripts ask lk itself (its help texts and lk cache list --names), so they know every command,
 * action, option and segment of the lk that is installed.  Names are compared and quoted, never
 * evaluated: a segment called '$(reboot)' is a word like any other. */
#include <string.h>

#include "cli.h"

/* `lk ... --help` lists commands and actions as "  word  text" and options as "--option". */
static const char bash_script[] =
    "# bash completion for lk; made by: lk completion bash\n"
    "_lk_words() { \"${_lk_command:-lk}\" \"$@\" --help 2>/dev/null |\n"
    "    sed -n 's/^  \\([a-z][a-z]*\\) .*/\\1/p'; }\n"
    "_lk_options() { \"${_lk_command:-lk}\" \"$@\" --help 2>/dev/null |\n"
    "    grep -oE -e '--[a-z][a-z-]*' | sort -u; }\n"
    "_lk_add() { # candidates on standard input, one a line\n"
    "    local word\n"
    "    while IFS= read -r word; do\n"
    "        [[ $word == \"$2\"* ]] || continue\n"
    "        if [[ $1 == quoted ]]; then printf -v word %q \"$word\"; fi\n"
    "        COMPREPLY+=(\"$word\")\n"
    "    done\n"
    "}\n"
    "_lk() {\n"
    "    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    local command=${COMP_WORDS[1]} i words=()\n"
    "    local _lk_command=${COMP_WORDS[0]}\n"
    "    COMPREPLY=()\n"
    "    for ((i = 2; i < COMP_CWORD; i++)); do\n"
    "        [[ ${COMP_WORDS[i]} == -* ]] || words+=(\"${COMP_WORDS[i]}\")\n"
    "    done\n"
    "    if ((COMP_CWORD == 1)); then\n"
    "        _lk_add plain \"$current\" < <(_lk_words; printf '%s\\n' --help --version)\n"
    "        return\n"
    "    fi\n"
    "    if [[ $previous == --key-file ]]; then\n"
    "        compopt -o default 2>/dev/null; return\n"
    "    fi\n"
    "    if [[ $current == -* ]]; then\n"
    "        if [[ $command == cache && ${#words[@]} -gt 0 ]]; then\n"
    "            _lk_add plain \"$current\" < <(_lk_options cache \"${words[0]}\")\n"
    "        else\n"
    "            _lk_add plain \"$current\" < <(_lk_options \"$command\")\n"
    "        fi\n"
    "        return\n"
    "    fi\n"
    "    case $command in\n"
    "    cache)\n"
    "        if ((${#words[@]} == 0)); then\n"
    "            _lk_add plain \"$current\" < <(_lk_words cache)\n"
    "        elif ((${#words[@]} == 1)) || [[ ${words[0]} == unlink ]]; then\n"
    "            _lk_add quoted \"$current\" < <(\"$_lk_command\" cache list --names 2>/dev/null)\n"
    "        else\n"
    "            compopt -o default 2>/dev/null\n"
    "        fi ;;\n"
    "    verify | repair)\n"
    "        _lk_add quoted \"$current\" < <(\"$_lk_command\" cache list --names 2>/dev/null) ;;\n"
    "    completion) _lk_add plain \"$current\" < <(printf '%s\\n' bash zsh) ;;\n"
    "    help) _lk_add plain \"$current\" < <(_lk_words) ;;\n"
    "    bench) _lk_add plain \"$current\" < <(_lk_words bench)\n"
    "        compopt -o default 2>/dev/null ;;\n"
    "    *) compopt -o default 2>/dev/null ;;\n"
    "    esac\n"
    "}\n"
    "complete -F _lk lk\n";

static const char zsh_script[] =
    "#compdef lk\n"
    "# zsh completion for lk; made by: lk completion zsh\n"
    "_lk_words() { reply=(${(f)\"$($lk \"$@\" --help 2>/dev/null |\n"
    "    sed -n 's/^  \\([a-z][a-z]*\\) .*/\\1/p')\"}) }\n"
    "_lk_options() { reply=(${(f)\"$($lk \"$@\" --help 2>/dev/null |\n"
    "    grep -oE -e '--[a-z][a-z-]*' | sort -u)\"}) }\n"
    "_lk_segments() { reply=(${(f)\"$($lk cache list --names 2>/dev/null)\"}) }\n"
    "_lk() {\n"
    "    local lk=${(Q)words[1]} command=${words[2]}\n"
    "    local -a reply plain\n"
    "    plain=(${${words[3,CURRENT-1]}:#-*})\n"
    "    if (( CURRENT == 2 )); then\n"
    "        _lk_words; compadd -- $reply --help --version; return\n"
    "    fi\n"
    "    if [[ ${words[CURRENT-1]} == --key-file ]]; then _files; return; fi\n"
    "    if [[ ${words[CURRENT]} == -* ]]; then\n"
    "        if [[ $command == cache && ${#plain} -gt 0 ]]; then\n"
    "            _lk_options cache ${plain[1]}\n"
    "        else\n"
    "            _lk_options $command\n"
    "        fi\n"
    "        compadd -- $reply; return\n"
    "    fi\n"
    "    case $command in\n"
    "    cache)\n"
    "        if (( ${#plain} == 0 )); then _lk_words cache; compadd -- $reply\n"
    "        elif (( ${#plain} == 1 )) || [[ ${plain[1]} == unlink ]]; then\n"
    "            _lk_segments; compadd -- $reply\n"
    "        else _files; fi ;;\n"
    "    verify|repair) _lk_segments; compadd -- $reply ;;\n"
    "    completion) compadd -- bash zsh ;;\n"
    "    help) _lk_words; compadd -- $reply ;;\n"
    "    bench) _lk_words bench; compadd -- $reply; _files ;;\n"
    "    *) _files ;;\n"
    "    esac\n"
    "}\n"
    "if [[ ${funcstack[1]} == _lk ]]; then _lk \"$@\"; else compdef _lk lk; fi\n";

static const char help[] =
    "usage: lk completion bash|zsh\n"
    "Print a completion script: commands, actions, options, names of segments.\n"
    "\n"
    "  bash: lk completion bash > ~/.local/share/bash-completion/completions/lk\n"
    "  zsh:  lk completion zsh > DIRECTORY-IN-FPATH/_lk\n"
    "  now:  source <(lk completion bash)\n"
    "\n"
    "  -h, --help   this text\n"
    "\n"
    "exit: 0 done, 2 bad usage\n";

int cmd_completion(int argc, char **argv)
{
    static const struct cli_option options[] = {{'h', "help", NULL, "this text"}};
    struct cli_args args = {.argc = argc, .argv = argv, .options = options, .n_options = 1};
    int letter = cli_args_next(&args);
    if (letter < 0)
        return CLI_USAGE;
    if (letter == 'h')
        return cli_help(help);
    if (args.n_words != 1)
        return cli_usage("which shell? bash or zsh");
    if (strcmp(args.words[0], "bash") == 0)
        return cli_help(bash_script);
    if (strcmp(args.words[0], "zsh") == 0)
        return cli_help(zsh_script);
    return cli_usage("no completion for '%s'; bash and zsh there are", args.words[0]);
}
