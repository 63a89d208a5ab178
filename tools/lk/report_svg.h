/* report_svg.h - what the page needs of the charts. */
#ifndef LK_REPORT_SVG_H
#define LK_REPORT_SVG_H

#include <stddef.h>

enum { REPORT_WIDTH = 860 };

extern const char report_style[]; /* CSS of the charts, light and dark */
double report_timeline_height(size_t panels);
double report_stalls_height(void);

#endif
