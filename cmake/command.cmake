# The command lk: every .c file of tools/lk, linked with the static library.
find_package(PkgConfig REQUIRED)
pkg_check_modules(LK_DEPS REQUIRED IMPORTED_TARGET jansson ncursesw liblzma lmdb libxxhash)

file(GLOB command_sources CONFIGURE_DEPENDS tools/lk/*.c)
if(EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/tools/lk/main.c")
    add_executable(lk ${command_sources})
    target_include_directories(lk PRIVATE tools/lk)
    target_compile_options(lk PRIVATE ${LATCHKEY_WARNINGS})
    # libxxhash is used as a header only.
    target_compile_definitions(lk PRIVATE XXH_INLINE_ALL "LK_VERSION_TEXT=\"${PROJECT_VERSION}\"")
    target_link_libraries(lk PRIVATE latchkey_static PkgConfig::LK_DEPS Threads::Threads m ${CMAKE_DL_LIBS})
    install(TARGETS lk RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# lk bench locks loads oneTBB's lock from a library of its own, if there is a C++ compiler and oneTBB:
# lk itself stays C.
include(CheckLanguage)
check_language(CXX)
if(CMAKE_CXX_COMPILER AND NOT LATCHKEY_INSTRUMENTED)
    enable_language(CXX)
    # std::scoped_lock for lk bench keys, in the same way.
    add_library(lk_bench_std MODULE tools/lk/bench_keys_std.cpp)
    set_target_properties(lk_bench_std PROPERTIES PREFIX "" OUTPUT_NAME lk-bench-std
                          CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
    target_compile_options(lk_bench_std PRIVATE -O2)
    # absl::btree_map for lk db bench.
    find_package(absl QUIET CONFIG)
    if(TARGET absl::btree)
        add_library(lk_bench_absl MODULE tools/lk/bench_db_absl.cpp)
        set_target_properties(lk_bench_absl PROPERTIES PREFIX "" OUTPUT_NAME lk-bench-absl
                              CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
        target_compile_options(lk_bench_absl PRIVATE -O2)
        target_link_libraries(lk_bench_absl PRIVATE absl::btree)
    endif()
    # std::shared_mutex for lk bench locks, and others that are installed.
    add_library(lk_bench_locks MODULE tools/lk/bench_locks_std.cpp)
    set_target_properties(lk_bench_locks PROPERTIES PREFIX "" OUTPUT_NAME lk-bench-locks
                          CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
    target_compile_options(lk_bench_locks PRIVATE -O2)
    target_link_libraries(lk_bench_locks PRIVATE Threads::Threads)
    if(TARGET absl::synchronization)
        target_compile_definitions(lk_bench_locks PRIVATE LK_HAVE_ABSL=1)
        target_link_libraries(lk_bench_locks PRIVATE absl::synchronization)
    endif()
    find_library(LK_NSYNC_CPP nsync_cpp)
    if(LK_NSYNC_CPP)
        target_compile_definitions(lk_bench_locks PRIVATE LK_HAVE_NSYNC=1)
        target_link_libraries(lk_bench_locks PRIVATE ${LK_NSYNC_CPP})
    endif()
    find_library(LK_URCU_BP urcu-bp)
    if(LK_URCU_BP)
        target_compile_definitions(lk_bench_locks PRIVATE LK_HAVE_URCU=1)
        target_link_libraries(lk_bench_locks PRIVATE ${LK_URCU_BP})
    endif()
    find_package(TBB QUIET CONFIG)
    if(TARGET TBB::tbb)
        add_library(lk_bench_tbb MODULE tools/lk/bench_locks_tbb.cpp)
        set_target_properties(lk_bench_tbb PROPERTIES PREFIX "" OUTPUT_NAME lk-bench-tbb
                              CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON)
        target_compile_options(lk_bench_tbb PRIVATE -O2)
        target_link_libraries(lk_bench_tbb PRIVATE TBB::tbb)
    endif()
endif()
