#!/bin/sh
# The page of a counterexample, opened in a browser, shows the threads, the events and the edges.
# usage: html_test.sh LK
lk=$1
here=$(dirname "$0")
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || {
    echo "no browser: skipped"
    exit 77
}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
shows() {
    if grep -qF "$2" "$work/dom"; then passed=$((passed + 1)); else
        failed=$((failed + 1)); echo "FAIL the page does not show $1"; fi
}

"$lk" check --quiet --html "$work/page.html" "$here/classics/seqlock.c" -- -DMUTANT=1 > "$work/text"
[ $? -eq 1 ] || { echo "FAIL the mutant was not found"; exit 1; }
"$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" \
    --dump-dom "file://$work/page.html" > "$work/dom" 2>/dev/null
shows "the error" "does not hold"
shows "the writer's column" ">T1</text>"
shows "the reader's column" ">T2</text>"
shows "the first event of the writer" 'id="T1.1"'
shows "the store to the first word" "store word = 1 relaxed"
shows "a read-from edge" 'class="rf"'
shows "a from-read edge" 'class="fr"'
shows "a modification-order edge" 'class="mo"'
shows "where the error is" 'class="event culprit'
"$browser" --headless --no-sandbox --disable-gpu --user-data-dir="$work/profile" \
    --window-size=1400,900 --screenshot="$work/page.png" "file://$work/page.html" >/dev/null 2>&1
# An empty white page of this size compresses to a few kilobytes.
if [ "$(wc -c < "$work/page.png")" -gt 20000 ]; then passed=$((passed + 1)); else
    failed=$((failed + 1)); echo "FAIL the screenshot is empty"; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
