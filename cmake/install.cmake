# Install rules: headers, both libraries, the pkg-config file, the CMake package, man pages,
# completions.  Every path in the installed files is relative to themselves.
include(CMakePackageConfigHelpers)

install(FILES ${library_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/latchkey)
install(TARGETS latchkey_static latchkey_shared EXPORT latchkey-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT latchkey-targets NAMESPACE latchkey::
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/latchkey)

configure_package_config_file(cmake/latchkey-config.cmake.in
    "${CMAKE_CURRENT_BINARY_DIR}/latchkey-config.cmake"
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/latchkey)
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/latchkey-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/latchkey-config.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/latchkey-config-version.cmake"
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/latchkey)

# lib/pkgconfig is two below the prefix, lib/<triplet>/pkgconfig three.
file(RELATIVE_PATH latchkey_pc_up "/p/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/p")
string(REGEX REPLACE "/$" "" latchkey_pc_up "${latchkey_pc_up}")
configure_file(cmake/latchkey.pc.in latchkey.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/latchkey.pc"
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

foreach(section 1 3 7)
    file(GLOB pages CONFIGURE_DEPENDS docs/man/*.${section})
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
install(FILES LICENSE README.md SECURITY.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TARGET lk)
    # The command prints its own completions, so they cannot differ from it.
    install(CODE "
        foreach(pair bash:bash-completion/completions/lk zsh:zsh/site-functions/_lk)
            string(REPLACE \":\" \";\" pair \"\${pair}\")
            list(GET pair 0 shell)
            list(GET pair 1 place)
            set(file \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/\${place}\")
            get_filename_component(folder \"\${file}\" DIRECTORY)
            file(MAKE_DIRECTORY \"\${folder}\")
            execute_process(COMMAND \"$<TARGET_FILE:lk>\" completion \${shell}
                            OUTPUT_FILE \"\${file}\" COMMAND_ERROR_IS_FATAL ANY)
            message(STATUS \"Installing: \${file}\")
        endforeach()")
endif()
