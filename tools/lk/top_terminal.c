/* top_terminal.c - lk top: is this a terminal that ncurses knows?  Apart from top_screen.c because
 * <term.h> makes macros of words like `lines` and `columns`. */
#include <ncurses.h>
#include <term.h>
#include <unistd.h>

#include "top.h"

bool top_terminal_known(void)
{
    int found;
    if (setupterm(NULL, STDOUT_FILENO, &found) != OK)
        return false;
    del_curterm(cur_term);
    return true;
}
