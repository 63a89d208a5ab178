/* switch_x86_64.S - traps from the program into the checker, and back.
 *
 * Every hook saves the registers on the stack of the thread that called it and goes on on the
 * checker's own stack.  So nothing that the checker does leaves traces on the program's stacks, whose
 * contents tell whether a loop has come back to the same state.
 *
 * struct hot: current 0, kernel_sp 8, stack_low 16, stack_size 24, calls 32,
 * calls_end 40, sp_min 48.   struct fiber: sp 0, stutter 8. */
        .text

/* rax = the handler.  Frame, from sp up: handler, 6 arguments, r15 r14 r13 r12 rbx rbp, return. */
        .globl  lkc_trap
        .type   lkc_trap, @function
lkc_trap:
        mov     lkc_hot(%rip), %r11
        test    %r11, %r11
        jz      1f
        push    %rbp
        push    %rbx
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        push    %r9
        push    %r8
        push    %rcx
        push    %rdx
        push    %rsi
        push    %rdi
        push    %rax
        mov     %rsp, (%r11)
        mov     lkc_hot+8(%rip), %rsp
        call    *%rax
lkc_resume:
        mov     lkc_hot(%rip), %r11
        mov     (%r11), %rsp
        add     $56, %rsp
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbx
        pop     %rbp
        xor     %ecx, %ecx      /* what the checker leaves in them would get onto the stack */
        xor     %edx, %edx
        xor     %esi, %esi
        xor     %edi, %edi
        xor     %r8d, %r8d
        xor     %r9d, %r9d
        ret
1:      jmp     *%rax           /* no exploration: an ordinary call */
        .size   lkc_trap, . - lkc_trap

/* Make the trapped call of fiber rdi again, on the checker's stack. */
        .globl  lkc_call_again
        .type   lkc_call_again, @function
lkc_call_again:
        mov     (%rdi), %r11
        mov     (%r11), %rax
        mov     8(%r11), %rdi
        mov     16(%r11), %rsi
        mov     24(%r11), %rdx
        mov     32(%r11), %rcx
        mov     40(%r11), %r8
        mov     48(%r11), %r9
        jmp     *%rax
        .size   lkc_call_again, . - lkc_call_again

        .globl  lkc_enter
        .type   lkc_enter, @function
lkc_enter:
        push    %rbp
        push    %rbx
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        sub     $8, %rsp
        mov     %rsp, lkc_hot+8(%rip)
        call    lkc_dispatch
        jmp     lkc_resume
        .size   lkc_enter, . - lkc_enter

        .globl  lkc_leave
        .type   lkc_leave, @function
lkc_leave:
        mov     lkc_hot+8(%rip), %rsp
        add     $8, %rsp
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbx
        pop     %rbp
        ret
        .size   lkc_leave, . - lkc_leave

        .globl  lkc_reschedule
        .type   lkc_reschedule, @function
lkc_reschedule:
        mov     lkc_hot+8(%rip), %rsp
        call    lkc_dispatch
        jmp     lkc_resume
        .size   lkc_reschedule, . - lkc_reschedule

/* A new thread: r12 = function, r13 = argument. */
        .globl  lkc_fiber_start
        .type   lkc_fiber_start, @function
lkc_fiber_start:
        xor     %ebp, %ebp
        lea     lkc_k_begin(%rip), %rax
        call    lkc_trap
        mov     %r13, %rdi
        call    *%r12
        mov     %rax, %rdi
        call    pthread_exit
        ud2
        .size   lkc_fiber_start, . - lkc_fiber_start

/* Hooks that always trap. */
        .macro  HOOK name, handler
        .globl  \name
        .type   \name, @function
\name:  lea     \handler(%rip), %rax
        jmp     lkc_trap
        .size   \name, . - \name
        .endm

/* Plain accesses: to the thread's own stack they are nobody else's business. */
        .macro  PLAIN name, handler
        .globl  \name
        .type   \name, @function
\name:  mov     %rdi, %rax
        sub     lkc_hot+16(%rip), %rax
        cmp     lkc_hot+24(%rip), %rax
        jb      1f
        lea     \handler(%rip), %rax
        jmp     lkc_trap
1:      ret
        .size   \name, . - \name
        .endm

        .irp    n, 1, 2, 4, 8, 16
        PLAIN   __tsan_read\n, lkc_k_read\n
        PLAIN   __tsan_write\n, lkc_k_write\n
        PLAIN   __tsan_unaligned_read\n, lkc_k_read\n
        PLAIN   __tsan_unaligned_write\n, lkc_k_write\n
        PLAIN   __tsan_volatile_read\n, lkc_k_read\n
        PLAIN   __tsan_volatile_write\n, lkc_k_write\n
        PLAIN   __tsan_read_write\n, lkc_k_write\n
        PLAIN   __tsan_unaligned_read_write\n, lkc_k_write\n
        .endr
        PLAIN   __tsan_read_range, lkc_k_read_range
        PLAIN   __tsan_write_range, lkc_k_write_range

        .irp    bits, 8, 16, 32, 64
        HOOK    __tsan_atomic\bits\()_load, lkc_k_load\bits
        HOOK    __tsan_atomic\bits\()_store, lkc_k_store\bits
        HOOK    __tsan_atomic\bits\()_exchange, lkc_k_exchange\bits
        HOOK    __tsan_atomic\bits\()_fetch_add, lkc_k_fetch_add\bits
        HOOK    __tsan_atomic\bits\()_fetch_sub, lkc_k_fetch_sub\bits
        HOOK    __tsan_atomic\bits\()_fetch_and, lkc_k_fetch_and\bits
        HOOK    __tsan_atomic\bits\()_fetch_or, lkc_k_fetch_or\bits
        HOOK    __tsan_atomic\bits\()_fetch_xor, lkc_k_fetch_xor\bits
        HOOK    __tsan_atomic\bits\()_fetch_nand, lkc_k_fetch_nand\bits
        HOOK    __tsan_atomic\bits\()_compare_exchange_strong, lkc_k_cas\bits
        HOOK    __tsan_atomic\bits\()_compare_exchange_weak, lkc_k_cas_weak\bits
        HOOK    __tsan_atomic\bits\()_compare_exchange_val, lkc_k_cas_val\bits
        .endr
        HOOK    __tsan_atomic_thread_fence, lkc_k_fence

        HOOK    __tsan_atomic_signal_fence, lkc_k_signal_fence

/* The call stack for messages; and how deep the stack was, so that it can be wiped. */
        .globl  __tsan_func_entry
        .type   __tsan_func_entry, @function
__tsan_func_entry:
        mov     lkc_hot+32(%rip), %rax
        cmp     lkc_hot+40(%rip), %rax
        jae     1f
        mov     %rdi, (%rax)
1:      add     $8, %rax
        mov     %rax, lkc_hot+32(%rip)
        cmp     lkc_hot+48(%rip), %rsp
        jae     2f
        mov     %rsp, lkc_hot+48(%rip)
2:      ret
        .size   __tsan_func_entry, . - __tsan_func_entry

        .globl  __tsan_func_exit
        .type   __tsan_func_exit, @function
__tsan_func_exit:
        subq    $8, lkc_hot+32(%rip)
        ret
        .size   __tsan_func_exit, . - __tsan_func_exit

        .globl  __tsan_init
        .type   __tsan_init, @function
__tsan_init:
        ret
        .size   __tsan_init, . - __tsan_init

/* ---- what the program calls of the C library ---- */
        HOOK    pthread_create, lkc_k_create
        HOOK    pthread_join, lkc_k_join
        HOOK    pthread_detach, lkc_k_detach
        HOOK    lkc_thread_exit, lkc_k_exit
        HOOK    pthread_mutex_init, lkc_k_mutex_init
        HOOK    pthread_mutex_destroy, lkc_k_mutex_destroy
        HOOK    pthread_mutex_lock, lkc_k_mutex_lock
        HOOK    pthread_mutex_trylock, lkc_k_mutex_trylock
        HOOK    pthread_mutex_timedlock, lkc_k_mutex_timedlock
        HOOK    pthread_mutex_clocklock, lkc_k_mutex_clocklock
        HOOK    pthread_mutex_unlock, lkc_k_mutex_unlock
        HOOK    pthread_mutex_consistent, lkc_k_mutex_consistent
        HOOK    pthread_cond_init, lkc_k_cond_init
        HOOK    pthread_cond_destroy, lkc_k_cond_destroy
        HOOK    pthread_cond_wait, lkc_k_cond_wait
        HOOK    pthread_cond_timedwait, lkc_k_cond_timedwait
        HOOK    pthread_cond_clockwait, lkc_k_cond_clockwait
        HOOK    pthread_cond_signal, lkc_k_cond_signal
        HOOK    pthread_cond_broadcast, lkc_k_cond_broadcast
        HOOK    pthread_rwlock_init, lkc_k_rwlock_init
        HOOK    pthread_rwlock_destroy, lkc_k_rwlock_destroy
        HOOK    pthread_rwlock_rdlock, lkc_k_rwlock_rdlock
        HOOK    pthread_rwlock_tryrdlock, lkc_k_rwlock_tryrdlock
        HOOK    pthread_rwlock_wrlock, lkc_k_rwlock_wrlock
        HOOK    pthread_rwlock_trywrlock, lkc_k_rwlock_trywrlock
        HOOK    pthread_rwlock_unlock, lkc_k_rwlock_unlock
        HOOK    pthread_barrier_init, lkc_k_barrier_init
        HOOK    pthread_barrier_destroy, lkc_k_barrier_destroy
        HOOK    pthread_barrier_wait, lkc_k_barrier_wait
        HOOK    pthread_spin_init, lkc_k_spin_init
        HOOK    pthread_spin_destroy, lkc_k_spin_destroy
        HOOK    pthread_spin_lock, lkc_k_spin_lock
        HOOK    pthread_spin_trylock, lkc_k_spin_trylock
        HOOK    pthread_spin_unlock, lkc_k_spin_unlock
        HOOK    lkc_once_enter, lkc_k_once_enter
        HOOK    lkc_once_leave, lkc_k_once_leave
        HOOK    sem_init, lkc_k_sem_init
        HOOK    sem_destroy, lkc_k_sem_destroy
        HOOK    sem_wait, lkc_k_sem_wait
        HOOK    sem_trywait, lkc_k_sem_trywait
        HOOK    sem_timedwait, lkc_k_sem_timedwait
        HOOK    sem_post, lkc_k_sem_post
        HOOK    sem_getvalue, lkc_k_sem_getvalue
        HOOK    malloc, lkc_k_malloc
        HOOK    calloc, lkc_k_calloc
        HOOK    realloc, lkc_k_realloc
        HOOK    aligned_alloc, lkc_k_aligned_alloc
        HOOK    posix_memalign, lkc_k_posix_memalign
        HOOK    free, lkc_k_free
        HOOK    __assert_fail, lkc_k_assert_fail
        HOOK    abort, lkc_k_abort
        HOOK    lk_check_fail, lkc_k_check_fail
        HOOK    lk_check_assume, lkc_k_check_assume
        HOOK    lk_check_choose, lkc_k_check_choose
        HOOK    syscall, lkc_k_syscall
        HOOK    kill, lkc_k_kill
        HOOK    lk_check_mortal, lkc_k_mortal
        HOOK    lk_check_crash_point, lkc_k_crash_point
        HOOK    lk_check_backstop, lkc_k_backstop
        HOOK    lk_check_process, lkc_k_process
        HOOK    lk_check_robust_pending, lkc_k_robust_pending
        HOOK    lk_check_dead, lkc_k_dead
        HOOK    lk_check_thread, lkc_k_thread
        HOOK    lk_check_futex_wait, lkc_k_futex_wait
        HOOK    lk_check_futex_waitv, lkc_k_futex_waitv
        HOOK    lk_check_futex_wake, lkc_k_futex_wake
        HOOK    lk_check_robust_add, lkc_k_robust_add
        HOOK    lk_check_robust_remove, lkc_k_robust_remove
        HOOK    lk_check_robust_add64, lkc_k_robust_add64

/* No trap: a spin makes many, and nothing happens. */
        .globl  lk_check_relax
        .type   lk_check_relax, @function
lk_check_relax:
        mov     lkc_hot(%rip), %rax
        test    %rax, %rax
        jz      1f
        movq    $1, 8(%rax)
1:      ret
        .size   lk_check_relax, . - lk_check_relax

        .section .note.GNU-stack,"",@progbits
