<?php
// Kill workers that use APCu at random moments, and see whether the others go on.
// usage: apcu_kill.php KILLS SECONDS.  Prints "wedged after N kills" (exit 1), "N kills, sound" (0),
// or "damaged after N kills" (2): a worker died by itself or read a wrong value.
[$kills, $seconds] = [(int)$argv[1], (float)$argv[2]];
const WORKERS = 4;

// A value says which key it is for.
function value(int $key): string { return str_repeat("v$key.", 50); }

function work(int $seed): void {
    mt_srand($seed);
    for (;;) {
        $key = mt_rand(0, 63);
        if (mt_rand(0, 3) == 0) apcu_store("k$key", value($key));
        else {
            $got = apcu_fetch("k$key");
            if ($got !== false && $got !== value($key)) exit(3);
        }
    }
}

function start(int $seed): int {
    $pid = pcntl_fork();
    if ($pid == 0) { work($seed); }
    return $pid;
}

// Can a newcomer still write and read?  0 yes, 1 it hangs, 2 it died or read wrong.
function probe(): int {
    $pid = pcntl_fork();
    if ($pid == 0) {
        for ($i = 0; $i < 64; $i += 16) {
            apcu_store("k$i", value($i));
            $got = apcu_fetch("k$i");
            if ($got !== false && $got !== value($i)) exit(3);
        }
        exit(0);
    }
    $end = microtime(true) + 4.0; // a loaded machine needs one of them to begin with
    while (microtime(true) < $end) {
        if (pcntl_waitpid($pid, $status, WNOHANG) == $pid)
            return pcntl_wifexited($status) && pcntl_wexitstatus($status) == 0 ? 0 : 2;
        usleep(500);
    }
    posix_kill($pid, SIGKILL);
    pcntl_waitpid($pid, $status);
    return 1;
}

function stop(array $pids): void {
    foreach ($pids as $pid) { posix_kill($pid, SIGKILL); pcntl_waitpid($pid, $status); }
}

for ($i = 0; $i < 64; $i++) apcu_store("k$i", value($i));
$pids = [];
for ($i = 0; $i < WORKERS; $i++) $pids[] = start($i);
$end = microtime(true) + $seconds;
for ($n = 1; $n <= $kills && microtime(true) < $end; $n++) {
    usleep(mt_rand(200, 3000));
    $i = mt_rand(0, WORKERS - 1);
    posix_kill($pids[$i], SIGKILL);
    pcntl_waitpid($pids[$i], $status);
    $itself = pcntl_wifsignaled($status) && pcntl_wtermsig($status) != SIGKILL;
    $pids[$i] = start($n + 100);
    $answer = $itself || pcntl_wifexited($status) ? 2 : probe();
    if ($answer != 0) {
        stop($pids);
        echo $answer == 1 ? "wedged" : "damaged", " after $n kills\n";
        exit($answer);
    }
}
stop($pids);
echo $n - 1, " kills, sound\n";
