/* cli_args.c - options and words of a command line. */
#include <string.h>

#include "cli.h"

static const struct cli_option *by_letter(const struct cli_args *a, int letter)
{
    for (size_t i = 0; i < a->n_options; i++)
        if (a->options[i].letter == letter)
            return &a->options[i];
    return NULL;
}

static const struct cli_option *by_name(const struct cli_args *a, const char *name, size_t length)
{
    for (size_t i = 0; i < a->n_options; i++)
        if (strlen(a->options[i].name) == length && memcmp(a->options[i].name, name, length) == 0)
            return &a->options[i];
    return NULL;
}

static int unknown_long(const struct cli_args *a, const char *name, size_t length)
{
    char word[33];
    const char *names[64];
    size_t n = 0;
    for (; n < a->n_options && n < 64; n++)
        names[n] = a->options[n].name;
    snprintf(word, sizeof word, "%.*s", (int)(length < 32 ? length : 32), name);
    const char *near = cli_nearest(word, names, n);
    if (near != NULL)
        cli_usage("unknown option '--%s'; did you mean '--%s'?", word, near);
    else
        cli_usage("unknown option '--%s'", word);
    return -1;
}

/* The option's argument: what stands behind it, or else the next element of argv. */
static int take_value(struct cli_args *a, const struct cli_option *o, const char *behind)
{
    a->value = NULL;
    if (o->metavar == NULL)
        return o->letter;
    if (behind == NULL) {
        if (a->index_ >= a->argc) {
            cli_usage("option '--%s' needs %s", o->name, o->metavar);
            return -1;
        }
        behind = a->argv[a->index_++];
    }
    a->value = behind;
    return o->letter;
}

static int long_option(struct cli_args *a, const char *name)
{
    const char *equals = strchr(name, '=');
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const struct cli_option *o = by_name(a, name, length);
    if (o == NULL)
        return unknown_long(a, name, length);
    if (equals != NULL && o->metavar == NULL) {
        cli_usage("option '--%s' takes no argument", o->name);
        return -1;
    }
    return take_value(a, o, equals != NULL ? equals + 1 : NULL);
}

static int short_option(struct cli_args *a)
{
    int letter = (unsigned char)*a->letters_++;
    const char *behind = *a->letters_ != '\0' ? a->letters_ : NULL;
    const struct cli_option *o = letter > 127 ? NULL : by_letter(a, letter);
    if (o == NULL) {
        cli_usage("unknown option '-%c'", letter);
        return -1;
    }
    if (behind == NULL || o->metavar != NULL)
        a->letters_ = NULL;
    return take_value(a, o, behind);
}

int cli_args_next(struct cli_args *a)
{
    if (a->words == NULL) {
        a->words = a->argv + 1;
        a->index_ = 1;
    }
    if (a->letters_ != NULL)
        return short_option(a);
    while (a->index_ < a->argc) {
        char *arg = a->argv[a->index_++];
        bool number =
            arg[0] == '-' && arg[1] >= '0' && arg[1] <= '9' && by_letter(a, arg[1]) == NULL;
        if (a->only_words_ || arg[0] != '-' || arg[1] == '\0' || number) {
            a->words[a->n_words++] = arg; /* never ahead of index_ */
        } else if (strcmp(arg, "--") == 0) {
            a->only_words_ = true;
        } else if (arg[1] == '-') {
            return long_option(a, arg + 2);
        } else {
            a->letters_ = arg + 1;
            return short_option(a);
        }
    }
    a->words[a->n_words] = NULL; /* as argv ends; words are never more than argv has */
    return 0;
}

void cli_print_options(const struct cli_option *options, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct cli_option *o = &options[i];
        char text[64];
        char letter[] = {'-', (char)(o->letter < 128 ? o->letter : ' '), ',', ' ', '\0'};
        snprintf(text, sizeof text, "%s--%s%s%s", o->letter < 128 ? letter : "    ", o->name,
                 o->metavar != NULL ? " " : "", o->metavar != NULL ? o->metavar : "");
        printf("  %-24s %s\n", text, o->help);
    }
}
