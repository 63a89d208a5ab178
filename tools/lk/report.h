/* report.h - the storm as a picture and as a page. */
#ifndef LK_REPORT_H
#define LK_REPORT_H

#include <stdio.h>

#include "storm.h"

struct report {
    const struct storm_options *options;
    const struct storm_files *files;
    const struct storm_plan *plan;
    const struct storm_result *result;
    size_t count; /* of results: 1 or 2 */
};

/* Write the page (or the picture alone) to a file.  0, or -1 and errno. */
int report_html(const struct report *about, const char *path);
int report_svg(const struct report *about, const char *path);

/* Pieces: an <svg> element each. */
void report_chart_stalls(FILE *out, const struct report *about);
void report_chart_timeline(FILE *out, const struct report *about);

#endif
