/* Snippets that must compile without a warning, and run.  As in fail.c. */

//! one_scope
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        mine++;

//! scopes_one_after_the_other
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        mine++;
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        mine++;

//! scope_in_a_loop_of_its_own
    for (int i = 0; i < 3; i++)
        lk_scope (key, LK_SET(LK_LOCK(&a)))
            mine++;

//! scope_in_an_if
    if (mine == 0)
        lk_scope (key, LK_SET(LK_LOCK(&a)))
            mine++;

//! if_and_else_inside
    lk_scope (key, LK_SET(LK_LOCK(&a))) {
        if (mine == 0)
            mine++;
        else
            mine--;
    }

//! scope_before_else
    if (mine == 0) {
        lk_scope (key, LK_SET(LK_LOCK(&a)))
            mine++;
    } else {
        mine--;
    }

//! return_from_a_scope
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        return;

//! break_out_of_a_scope
    lk_scope (key, LK_SET(LK_LOCK(&a))) {
        if (mine > 0)
            break;
        mine++;
    }

//! goto_out_of_a_scope
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        goto out;
out:
    mine++;

//! continue_in_a_scope
    lk_scope (key, LK_SET(LK_LOCK(&a))) {
        if (mine > 0)
            continue;
        mine++;
    }

//! two_locks
    lk_scope (key, LK_SET(LK_LOCK(&b), LK_LOCK(&a)))
        mine++;

//! eight_locks
    lk_scope (key, LK_SET(LK_LOCK(&a), LK_LOCK(&b), LK_LOCK(&c), LK_LOCK(&d), LK_LOCK(&e),
                          LK_LOCK(&f), LK_LOCK(&g), LK_LOCK(&h)))
        mine++;

//! ten_locks
    lk_scope (key, LK_SET(LK_LOCK(&a), LK_LOCK(&b), LK_LOCK(&c), LK_LOCK(&d), LK_LOCK(&e),
                          LK_LOCK(&f), LK_LOCK(&g), LK_LOCK(&h), LK_LOCK(&r), LK_LOCK(&km)))
        mine++;

//! read_and_write
    lk_scope (key, LK_SET(LK_READ(&r), LK_LOCK(&r2), LK_LOCK(&a)))
        mine++;

//! every_kind
    lk_scope (key, LK_SET(LK_LOCK(&a), LK_READ(&r), LK_LOCK(&km), LK_READ(&kr)))
        mine++;

//! levels_by_number
    lk_scope (key, LK_SET(LK_LOCK_LEVEL(&a, 2), LK_READ_LEVEL(&r, 1)))
        mine++;

//! read_scope
    lk_scope_read (key, LK_SET(LK_READ(&r), LK_LOCK(&r2)))
        mine++;

//! try_scope
    lk_scope_try (key, rc, LK_SET(LK_LOCK(&a)))
        mine++;

//! until_scope
    lk_scope_until (key, rc, LK_SET(LK_LOCK(&a)), NULL)
        mine++;

//! rc_scope
    lk_scope_rc (key, rc, LK_SET(LK_LOCK(&a)))
        mine++;

//! array_scope
    lk_member m[2] = {LK_LOCK(&b), LK_LOCK(&a)};
    lk_scope (key, LK_ARRAY(m, 2))
        mine++;

//! built_scope
    lk_member m[2] = {LK_LOCK(&b), LK_LOCK(&a)};
    lk_set s;
    lk_set_new(&s, m, 2, 2);
    lk_scope (key, LK_OF(&s))
        mine++;

//! subset_scope
    lk_member m[2] = {LK_LOCK(&b), LK_LOCK(&a)};
    lk_set s;
    lk_set_new(&s, m, 2, 2);
    lk_scope (key, LK_FIRST(&s, 1))
        mine++;

//! nested_set
    lk_member m[1] = {LK_LOCK(&b)};
    lk_set s;
    lk_set_new(&s, m, 1, 1);
    lk_scope (key, LK_SET(LK_LOCK(&a), LK_NESTED(&s)))
        mine++;

//! a_set_that_grows
    lk_member m[2] = {LK_LOCK(&b)};
    lk_set s;
    rc = lk_set_init(&s, m, 1, 2, NULL);
    rc = lk_set_add(&s, LK_LOCK(&a));
    lk_scope (key, LK_OF(&s))
        mine++;

//! lock_and_unlock
    lk_set_lock(key, LK_SET(LK_LOCK(&a)));
    lk_set_unlock(key);

//! unlock_gives_the_key
    lk_set_lock(key, LK_SET(LK_LOCK(&a)));
    key = lk_set_unlock(key);
    wants_key(key);

//! trylock_and_unlock
    if (lk_set_trylock(key, LK_SET(LK_LOCK(&a))) == 0)
        lk_set_unlock(key);

//! lock_until_and_unlock
    if (lk_set_lock_until(key, LK_SET(LK_LOCK(&a)), NULL) == 0)
        lk_set_unlock(key);

//! read_and_unlock
    rc = lk_set_read(key, LK_SET(LK_READ(&r)));
    lk_set_unlock(key);

//! free_key_to_a_function
    wants_key(key);

//! free_key_after_a_scope
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        mine++;
    wants_key(key);

//! spent_key_to_a_function_that_takes_none
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        wants_spent(key);

//! two_levels
    lk_scope_level (key, low, &at_low)
        lk_scope_level (key, high, &at_high)
            mine++;

//! three_levels
    lk_scope_level (key, low, &at_low)
        lk_scope_level_read (key, middle, &rw_middle)
            lk_scope_level (key, high, &at_high)
                mine++;

//! level_to_a_function
    lk_scope_level (key, low, &at_low)
        wants_low(key);

//! level_as_a_higher_one
    lk_scope_level (key, low, &at_low)
        wants_middle(LK_AS(middle, key));

//! levels_in_turn
    lk_scope_level (key, high, &at_high)
        mine++;
    lk_scope_level (key, low, &at_low)
        mine++;

//! levels_in_order
    LK_LEVEL_BEFORE(low, middle);
    (void)key;

//! several_at_a_level
    lk_scope_level (key, low, &at_low)
        lk_scope_levels (key, high,
                         LK_SET(LK_LOCK_AT(high, &at_high), LK_LOCK_AT(high, &at_high_too)))
            mine++;

//! mixed_levels_at_once
    lk_scope_levels (key, low, LK_SET(LK_LOCK_AT(high, &at_high), LK_LOCK_AT(low, &at_low)))
        mine++;

//! level_lock_and_unlock
    rc = lk_level_lock(key, low, &at_low);
    lk_level_unlock(key);

//! claim
    LK_CLAIM(claim, 2);
    lk_scope_claim (key, claim)
        rc = lk_claim_lock(&claim, LK_LOCK(&a));

//! claim_any_order
    LK_CLAIM(claim, 3);
    lk_scope_claim (key, claim) {
        rc = lk_claim_lock(&claim, LK_LOCK(&h));
        rc = lk_claim_lock(&claim, LK_LOCK(&a));
        rc = lk_claim_trylock(&claim, LK_LOCK(&r));
    }

//! claim_upgrade
    LK_CLAIM(claim, 1);
    lk_scope_claim (key, claim) {
        rc = lk_claim_lock(&claim, LK_READ(&r));
        rc = lk_claim_upgrade(&claim, &r);
        rc = lk_claim_downgrade(&claim, &r);
    }

//! claim_begin_and_end
    LK_CLAIM(claim, 1);
    rc = lk_claim_begin(&claim, key);
    lk_claim_end(&claim, key);

//! waiting_in_a_scope
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        rc = lk_set_wait_for(key, &cond, holds, NULL, NULL);

//! join_with_a_free_key
    if (mine < 0)
        rc = lk_key_join(key, pthread_self(), NULL);

//! once_with_a_free_key
    rc = lk_key_once(key, &once, initialise, NULL);

//! semaphore_with_a_free_key
    if (mine < 0)
        rc = lk_key_sem_wait(key, &sem, NULL);

//! barrier_with_a_free_key
    if (mine < 0)
        rc = lk_key_barrier_wait(key, &barrier, NULL);

//! copies
    rc = lk_key_read_copy(key, LK_SET(LK_READ(&r)), &mine, &guarded, 8);
    rc = lk_key_swap(key, LK_SET(LK_LOCK(&a)), &guarded, &mine, 8);

//! take_bytes
    rc = lk_key_take_bytes(key, LK_SET(LK_LOCK(&a)), &mine, &guarded, 8);

//! cell_in_a_scope
    static lk_cell cell;
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        lk_cell_get(&cell, &mine, &guarded, sizeof mine);

//! poison_in_a_scope
    lk_scope (key, LK_SET(LK_LOCK(&km)))
        lk_poison(key);
    lk_kmutex_clear(&km);

//! count_in_a_scope
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        mine = (long)lk_held(key);
