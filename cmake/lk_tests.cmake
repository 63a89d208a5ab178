# Functions for the CMakeLists.txt files under tests/.

# Sanitized and counting builds are slower: their time limits are longer.
set(LK_TEST_ENVIRONMENT "")
if(LATCHKEY_INSTRUMENTED)
    list(APPEND LK_TEST_ENVIRONMENT "T_TIMEOUT_SCALE=5")
endif()
if(LATCHKEY_SANITIZE MATCHES "thread")
    list(APPEND LK_TEST_ENVIRONMENT "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")
elseif(LATCHKEY_SANITIZE MATCHES "address")
    list(APPEND LK_TEST_ENVIRONMENT "ASAN_OPTIONS=detect_stack_use_after_return=1"
                                    "UBSAN_OPTIONS=print_stacktrace=1")
endif()

# What a test of this kind runs in when its file does not say.
set(LK_RUNS_IN_unit dev clang asan coverage)
set(LK_RUNS_IN_stress dev tsan coverage)
set(LK_RUNS_IN_storm dev)
set(LK_RUNS_IN_kill kill)

# lk_runs_here(out, kind, name, source text): does this file belong to the present build?  A build
# made without a preset has every test but the kill build's.
function(lk_runs_here out kind name text)
    set(builds ${LK_RUNS_IN_${kind}})
    if(name MATCHES "threads")
        list(APPEND builds tsan)
    endif()
    if(text MATCHES "Runs in: ([a-z ]+)")
        string(STRIP "${CMAKE_MATCH_1}" builds)
        string(REPLACE " " ";" builds "${builds}")
    endif()
    set(preset "${LATCHKEY_PRESET}")
    if(NOT preset)
        set(preset dev)
        if(LATCHKEY_BUILD STREQUAL "kill")
            set(preset kill)
        endif()
    endif()
    if(preset IN_LIST builds)
        set(${out} ON PARENT_SCOPE)
    else()
        set(${out} OFF PARENT_SCOPE)
    endif()
endfunction()

# lk_add_test_file(kind, source): one executable and a CTest test for each T_TEST in it.
function(lk_add_test_file kind source)
    get_filename_component(name "${source}" NAME_WE)
    string(REGEX REPLACE "_test$" "" name "${name}")
    file(READ "${source}" text)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${source}")
    lk_runs_here(here ${kind} ${name} "${text}")
    if(NOT here)
        return()
    endif()
    set(program "${kind}_${name}_test")
    add_executable(${program} "${source}")
    target_compile_options(${program} PRIVATE ${LATCHKEY_TEST_WARNINGS})
    target_link_libraries(${program} PRIVATE harness ${ARGN})
    target_link_options(${program} PRIVATE -rdynamic)

    # At the beginning of a line only: a T_TEST in a comment or a string is none.
    string(REGEX MATCHALL "\nT_TEST\\([A-Za-z0-9_]+\\)" tests "${text}")
    if(NOT tests)
        message(FATAL_ERROR "${source}: no T_TEST(name) at the beginning of a line")
    endif()
    foreach(test ${tests})
        string(REGEX REPLACE "\nT_TEST\\(([A-Za-z0-9_]+)\\)" "\\1" test "${test}")
        set(full "${kind}.${name}.${test}")
        add_test(NAME ${full} COMMAND ${program} ${test})
        set(labels ${kind})
        if(name MATCHES "threads")
            list(APPEND labels threads)
        endif()
        # The harness has its own time limit and says more than CTest's.
        set_tests_properties(${full} PROPERTIES LABELS "${labels}" SKIP_RETURN_CODE 77 TIMEOUT 900
                             ENVIRONMENT "${LK_TEST_ENVIRONMENT}")
        if(text MATCHES "Runs alone" OR kind STREQUAL "storm")
            set_tests_properties(${full} PROPERTIES RUN_SERIAL ON)
        endif()
    endforeach()
endfunction()

# lk_add_tests(kind): every <kind>/*_test.c of the calling folder.
function(lk_add_tests kind)
    file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${kind}/*_test.c")
    foreach(source ${sources})
        lk_add_test_file(${kind} "${source}")
    endforeach()
endfunction()

# lk_add_script_test(NAME label command...): a test that is a script; 77 = skipped.  Scripts find
# the command in $LK, the source tree in $LK_SOURCE and the build tree in $LK_BUILD_DIR.
function(lk_add_script_test name label)
    add_test(NAME ${name} COMMAND ${ARGN})
    set(environment ${LK_TEST_ENVIRONMENT} "LK_SOURCE=${PROJECT_SOURCE_DIR}"
        "LK_BUILD_DIR=${PROJECT_BINARY_DIR}")
    if(TARGET lk)
        list(APPEND environment "LK=$<TARGET_FILE:lk>")
    endif()
    set_tests_properties(${name} PROPERTIES LABELS ${label} SKIP_RETURN_CODE 77 TIMEOUT 900
                         ENVIRONMENT "${environment}")
    # Analyses take minutes where the machine is busy.
    if(label STREQUAL "analyze")
        set_tests_properties(${name} PROPERTIES TIMEOUT 1800)
    endif()
    # A storm measures stalls: nothing may run beside it.
    if(label STREQUAL "storm")
        set_tests_properties(${name} PROPERTIES RUN_SERIAL ON)
    endif()
endfunction()
