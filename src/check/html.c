/* html.c - a failing execution as a picture: one self-contained page, threads as columns. */
#include "report.h"

bool report_html(const char *path, const struct failure *f)
{
    (void)f;
    (void)path;
    return false;
}
