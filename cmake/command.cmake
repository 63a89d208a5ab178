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
    target_link_libraries(lk PRIVATE latchkey_static PkgConfig::LK_DEPS Threads::Threads m)
    install(TARGETS lk RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
