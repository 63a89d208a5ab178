/* Snippets that must not compile, or must stop.  tests/compile_fail/run says how they are read:
 *     //! NAME
 *     //! gcc: EXPRESSION        an error of gcc and of clang, default flags, in these lines
 *     //! clang: EXPRESSION
 *     //! stops: EXPRESSION      it compiles; run, it stops and says this
 *     //! tsa: EXPRESSION        clang -Wthread-safety -Wthread-safety-negative warns; none = not
 * Each is the body of a function with a free `key`. */

//! scope_in_scope
//! gcc: incompatible type for argument 1 of 'lk_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        lk_scope (key, LK_SET(LK_LOCK(&b)))
            mine++;

//! scope_in_a_block
//! gcc: incompatible type for argument 1 of 'lk_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a))) {
        mine++;
        {
            lk_scope (key, LK_SET(LK_LOCK(&b)))
                mine++;
        }
    }

//! scope_in_a_loop
//! gcc: incompatible type for argument 1 of 'lk_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a))) {
        for (int i = 0; i < 2; i++)
            lk_scope (key, LK_SET(LK_LOCK(&b)))
                mine++;
    }

//! scope_in_an_if
//! gcc: incompatible type for argument 1 of 'lk_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a))) {
        if (mine > 0)
            lk_scope (key, LK_SET(LK_LOCK(&b)))
                mine++;
    }

//! scope_in_a_switch
//! gcc: incompatible type for argument 1 of 'lk_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a))) {
        switch (mine) {
        default:
            lk_scope (key, LK_SET(LK_LOCK(&b)))
                mine++;
        }
    }

//! scope_in_a_read_scope
//! gcc: incompatible type for argument 1 of 'lk_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope_read (key, LK_SET(LK_READ(&r)))
        lk_scope (key, LK_SET(LK_LOCK(&b)))
            mine++;

//! read_again_in_a_read_scope
//! gcc: incompatible type for argument 1 of 'lk_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope_read (key, LK_SET(LK_READ(&r)))
        lk_scope_read (key, LK_SET(LK_READ(&r)))
            mine++;

//! the_same_lock_again
//! gcc: incompatible type for argument 1 of 'lk_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        lk_scope (key, LK_SET(LK_LOCK(&a)))
            mine++;

//! try_in_scope
//! gcc: incompatible type for argument 1 of 'lk_scope_try_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        lk_scope_try (key, rc, LK_SET(LK_LOCK(&b)))
            mine++;

//! until_in_scope
//! gcc: incompatible type for argument 1 of 'lk_scope_until_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        lk_scope_until (key, rc, LK_SET(LK_LOCK(&b)), NULL)
            mine++;

//! rc_in_scope
//! gcc: incompatible type for argument 1 of 'lk_scope_rc_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        lk_scope_rc (key, rc, LK_SET(LK_LOCK(&b)))
            mine++;

//! scope_in_a_try_scope
//! gcc: incompatible type for argument 1 of 'lk_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope_try (key, rc, LK_SET(LK_LOCK(&a)))
        lk_scope (key, LK_SET(LK_LOCK(&b)))
            mine++;

//! scope_in_an_until_scope
//! gcc: incompatible type for argument 1 of 'lk_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope_until (key, rc, LK_SET(LK_LOCK(&a)), NULL)
        lk_scope (key, LK_SET(LK_LOCK(&b)))
            mine++;

//! claim_in_scope
//! gcc: incompatible type for argument 1 of 'lk_claim_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    LK_CLAIM(claim, 2);
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        lk_scope_claim (key, claim)
            mine++;

//! scope_in_claim
//! gcc: incompatible type for argument 1 of 'lk_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    LK_CLAIM(claim, 2);
    lk_scope_claim (key, claim)
        lk_scope (key, LK_SET(LK_LOCK(&b)))
            mine++;

//! claim_in_claim
//! gcc: incompatible type for argument 1 of 'lk_claim_scope_begin_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    LK_CLAIM(claim, 2);
    LK_CLAIM(other, 2);
    lk_scope_claim (key, claim)
        lk_scope_claim (key, other)
            mine++;

//! lock_in_scope
//! gcc: incompatible type for argument 1 of 'lk_set_lock_at_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        lk_set_lock(key, LK_SET(LK_LOCK(&b)));

//! trylock_in_scope
//! gcc: incompatible type for argument 1 of 'lk_set_trylock_at_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        rc = lk_set_trylock(key, LK_SET(LK_LOCK(&b)));

//! lock_until_in_scope
//! gcc: incompatible type for argument 1 of 'lk_set_until_at_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        rc = lk_set_lock_until(key, LK_SET(LK_LOCK(&b)), NULL);

//! read_in_scope
//! gcc: incompatible type for argument 1 of 'lk_set_lock_at_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        rc = lk_set_read(key, LK_SET(LK_READ(&r)));

//! unlock_in_scope
//! gcc: incompatible type for argument 1 of 'lk_set_unlock'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        lk_set_unlock(key);

//! join_in_scope
//! gcc: incompatible type for argument 1 of 'lk_key_join_at_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        rc = lk_key_join(key, pthread_self(), NULL);

//! barrier_in_scope
//! gcc: incompatible type for argument 1 of 'lk_key_barrier_at_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        rc = lk_key_barrier_wait(key, &barrier, NULL);

//! semaphore_in_scope
//! gcc: incompatible type for argument 1 of 'lk_key_sem_at_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        rc = lk_key_sem_wait(key, &sem, NULL);

//! once_in_scope
//! gcc: incompatible type for argument 1 of 'lk_key_once_at_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        rc = lk_key_once(key, &once, initialise, NULL);

//! give_in_scope
//! gcc: incompatible type for argument 1 of 'lk_key_give'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        lk_key_give(key);

//! read_copy_in_scope
//! gcc: incompatible type for argument 1 of 'lk_key_read_copy_at_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        rc = lk_key_read_copy(key, LK_SET(LK_READ(&r)), &mine, &guarded, 8);

//! swap_in_scope
//! gcc: incompatible type for argument 1 of 'lk_key_swap_at_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        rc = lk_key_swap(key, LK_SET(LK_LOCK(&b)), &guarded, &mine, 8);

//! take_bytes_in_scope
//! gcc: incompatible type for argument 1 of 'lk_key_take_bytes_at_'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        rc = lk_key_take_bytes(key, LK_SET(LK_LOCK(&b)), &mine, &guarded, 8);

//! spent_key_to_a_function
//! gcc: incompatible type for argument 1 of 'wants_key'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        wants_key(key);

//! spent_key_down_a_chain
//! gcc: incompatible type for argument 1 of 'wants_key'
//! clang: passing 'lk_spent'.* to parameter of incompatible type 'lk_key'
    lk_spent held;
    held.k_ = key.k_;
    wants_spent(held);
    wants_key(held);

//! spent_key_kept_as_a_free_one
//! gcc: invalid initializer|incompatible types when initializing
//! clang: initializing 'lk_key'.* with an expression of incompatible type 'lk_spent'
    lk_scope (key, LK_SET(LK_LOCK(&a))) {
        lk_key kept = key;
        (void)kept;
    }

//! spent_key_assigned_to_a_free_one
//! gcc: incompatible types when assigning to type 'lk_key'
//! clang: assigning to 'lk_key'.* from incompatible type 'lk_spent'
    lk_key kept;
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        kept = key;
    (void)kept;

//! same_level_again
//! gcc: level high is not above what this key holds
//! clang: level high is not above what this key holds
    lk_scope_level (key, high, &at_high)
        lk_scope_level (key, high, &at_high_too)
            mine++;

//! descending_levels
//! gcc: level low is not above what this key holds
//! clang: level low is not above what this key holds
    lk_scope_level (key, middle, &at_middle)
        lk_scope_level (key, low, &at_low)
            mine++;

//! descending_two_deep
//! gcc: level middle is not above what this key holds
//! clang: level middle is not above what this key holds
    lk_scope_level (key, low, &at_low)
        lk_scope_level (key, high, &at_high)
            lk_scope_level (key, middle, &at_middle)
                mine++;

//! level_in_a_set_scope
//! gcc: level low is not above what this key holds
//! clang: level low is not above what this key holds
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        lk_scope_level (key, low, &at_low)
            mine++;

//! level_in_a_claim
//! gcc: level high is not above what this key holds
//! clang: level high is not above what this key holds
    LK_CLAIM(claim, 2);
    lk_scope_claim (key, claim)
        lk_scope_level (key, high, &at_high)
            mine++;

//! level_after_several
//! gcc: level high is not above what this key holds
//! clang: level high is not above what this key holds
    lk_scope_levels (key, middle, LK_SET(LK_LOCK_AT(middle, &at_middle)))
        lk_scope_level (key, high, &at_high)
            mine++;

//! several_below
//! gcc: level low is not above what this key holds
//! clang: level low is not above what this key holds
    lk_scope_level (key, middle, &at_middle)
        lk_scope_levels (key, low, LK_SET(LK_LOCK_AT(low, &at_low)))
            mine++;

//! level_lock_below
//! gcc: level low is not above what this key holds
//! clang: level low is not above what this key holds
    lk_scope_level (key, middle, &at_middle)
        rc = lk_level_lock(key, low, &at_low);

//! set_in_a_level_scope
//! gcc: incompatible type for argument 1 of 'lk_scope_begin_'
//! clang: passing 'lk_at_low'.* to parameter of incompatible type 'lk_key'
    lk_scope_level (key, low, &at_low)
        lk_scope (key, LK_SET(LK_LOCK(&b)))
            mine++;

//! free_key_wanted_at_a_level
//! gcc: incompatible type for argument 1 of 'wants_key'
//! clang: passing 'lk_at_low'.* to parameter of incompatible type 'lk_key'
    lk_scope_level (key, low, &at_low)
        wants_key(key);

//! key_of_a_higher_level_to_a_function
//! gcc: incompatible type for argument 1 of 'wants_low'
//! clang: passing 'lk_at_high'.* to parameter of incompatible type 'lk_at_low'
    lk_scope_level (key, high, &at_high)
        wants_low(key);

//! free_key_to_a_function_of_a_level
//! gcc: incompatible type for argument 1 of 'wants_low'
//! clang: passing 'lk_key'.* to parameter of incompatible type 'lk_at_low'
    wants_low(key);

//! as_a_lower_level
//! gcc: level middle is not above what this key holds
//! clang: level middle is not above what this key holds
    lk_scope_level (key, high, &at_high)
        wants_middle(LK_AS(middle, key));

//! lock_of_another_level
//! gcc: '_Generic' selector of type '(struct )?lk_mutex_at_high
//! clang: controlling expression type 'lk_mutex_at_high
    lk_scope_level (key, low, &at_high)
        mine++;

//! lock_without_a_level
//! gcc: '_Generic' selector of type '(struct )?lk_mutex
//! clang: controlling expression type 'lk_mutex
    lk_scope_level (key, low, &a)
        mine++;

//! reading_a_mutex_of_a_level
//! gcc: '_Generic' selector of type '(struct )?lk_mutex_at_middle
//! clang: controlling expression type 'lk_mutex_at_middle
    lk_scope_level_read (key, middle, &at_middle)
        mine++;

//! levels_in_the_wrong_order
//! gcc: level high does not come before level low
//! clang: level high does not come before level low
    LK_LEVEL_BEFORE(high, low);
    (void)key;

//! gcc: a level is a number from 1
//! clang: a level is a number from 1
    _Static_assert((0) >= 1, "latchkey: a level is a number from 1 to LK_LEVEL_MAX");
    (void)key;

//! twice_of_two
//! gcc: twice in this set, at positions 0 and 1
//! clang: twice in this set, at positions 0 and 1
    lk_scope (key, LK_SET(LK_LOCK(&a), LK_LOCK(&a)))
        mine++;

//! twice_of_three
//! gcc: twice in this set, at positions 0 and 2
//! clang: twice in this set, at positions 0 and 2
    lk_scope (key, LK_SET(LK_LOCK(&a), LK_LOCK(&b), LK_LOCK(&a)))
        mine++;

//! twice_of_eight
//! gcc: twice in this set, at positions 3 and 7
//! clang: twice in this set, at positions 3 and 7
    lk_scope (key, LK_SET(LK_LOCK(&a), LK_LOCK(&b), LK_LOCK(&c), LK_LOCK(&d), LK_LOCK(&e),
                          LK_LOCK(&f), LK_LOCK(&g), LK_LOCK(&d)))
        mine++;

//! read_twice
//! gcc: twice in this set, at positions 0 and 1
//! clang: twice in this set, at positions 0 and 1
    lk_scope (key, LK_SET(LK_READ(&r), LK_READ(&r)))
        mine++;

//! twice_in_a_try
//! gcc: twice in this set, at positions 1 and 2
//! clang: twice in this set, at positions 1 and 2
    rc = lk_set_trylock(key, LK_SET(LK_LOCK(&c), LK_LOCK(&km), LK_LOCK(&km)));

//! reading_a_mutex
//! gcc: '_Generic' selector of type '(struct )?lk_mutex
//! clang: controlling expression type 'lk_mutex
    lk_scope (key, LK_SET(LK_READ(&a)))
        mine++;

//! locking_an_integer
//! gcc: '_Generic' selector of type '(struct )?(long|int)
//! clang: controlling expression type '(long|int)
    lk_scope (key, LK_SET(LK_LOCK(&mine)))
        mine++;

//! locking_a_condition
//! gcc: '_Generic' selector of type '(struct )?lk_cond
//! clang: controlling expression type 'lk_cond
    lk_scope (key, LK_SET(LK_LOCK(&cond)))
        mine++;

//! locking_no_pointer
//! gcc: '_Generic' selector of type '(struct )?lk_mutex
//! clang: controlling expression type 'lk_mutex
    lk_scope (key, LK_SET(LK_LOCK(a)))
        mine++;

//! nesting_what_is_no_set
//! gcc: '_Generic' selector of type '(struct )?lk_mutex
//! clang: controlling expression type 'lk_mutex
    lk_scope (key, LK_SET(LK_NESTED(&a)))
        mine++;

//! stashed_key
//! stops: spent key
//! tsa: none
    lk_key kept = key;
    lk_scope (key, LK_SET(LK_LOCK(&a)))
        lk_scope (kept, LK_SET(LK_LOCK(&b)))
            mine++;

//! locked_twice
//! stops: spent key
//! tsa: acquiring key 'key.k_' that is already held
    lk_set_lock(key, LK_SET(LK_LOCK(&a)));
    lk_set_lock(key, LK_SET(LK_LOCK(&b)));
    lk_set_unlock(key);

//! calls_a_locking_function
//! stops: spent key
//! tsa: cannot call function 'wants_key' while .* 'key.k_' is held
    lk_set_lock(key, LK_SET(LK_LOCK(&a)));
    wants_key(key);
    lk_set_unlock(key);

//! given_back_while_locked
//! stops: gives back a key that holds locks
//! tsa: cannot call function 'lk_key_give' while .* 'key.k_' is held
    lk_set_lock(key, LK_SET(LK_LOCK(&a)));
    lk_key_give(key);
    lk_set_unlock(key);

//! join_while_locked
//! stops: spent key
//! tsa: cannot call function 'lk_key_join_at_' while .* 'key.k_' is held
    lk_set_lock(key, LK_SET(LK_LOCK(&a)));
    rc = lk_key_join(key, pthread_self(), NULL);
    lk_set_unlock(key);

//! once_while_locked
//! stops: spent key
//! tsa: cannot call function 'lk_key_once_at_' while .* 'key.k_' is held
    lk_set_lock(key, LK_SET(LK_LOCK(&a)));
    rc = lk_key_once(key, &once, initialise, NULL);
    lk_set_unlock(key);

//! scope_while_locked
//! stops: spent key
//! tsa: cannot call function 'lk_scope_begin_' while .* 'key.k_' is held
    lk_set_lock(key, LK_SET(LK_LOCK(&a)));
    lk_scope (key, LK_SET(LK_LOCK(&b)))
        mine++;
    lk_set_unlock(key);

//! unlocked_twice
//! stops: holds nothing
//! tsa: releasing key 'key.k_' that was not held
    lk_set_lock(key, LK_SET(LK_LOCK(&a)));
    lk_set_unlock(key);
    lk_set_unlock(key);

//! never_unlocked
//! stops: gives back a key that holds locks
//! tsa: 'key.k_' is still held at the end of function
    lk_set_lock(key, LK_SET(LK_LOCK(&a)));

//! claim_while_locked
//! stops: spent key
//! tsa: acquiring key 'key.k_' that is already held
    LK_CLAIM(claim, 2);
    lk_set_lock(key, LK_SET(LK_LOCK(&a)));
    rc = lk_claim_begin(&claim, key);
    lk_claim_end(&claim, key);

//! taken_twice
//! stops: which is taken
//! tsa: none
    lk_key again = lk_key_take();
    (void)again;
    (void)key;
