# SPDX-License-Identifier: Apache-2.0
#
# bin/baton, its manual page and completions, libexec/baton/batond, the library, its headers, baton.pc and the CMake package. The test "install" builds a
# consumer against an installed tree both ways (tests/install/).

include(CMakePackageConfigHelpers)

if(TARGET baton)
    install(TARGETS baton RUNTIME)
endif()
if(TARGET batond)
    install(TARGETS batond RUNTIME DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/baton)
endif()

install(FILES LICENSE NOTICE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The manual page and what shells complete come from the command's own table of verbs: it writes them. Not where it cannot run, or prints reports.
if(TARGET baton AND NOT BATON_SANITIZE AND NOT CMAKE_CROSSCOMPILING)
    set(described ${PROJECT_BINARY_DIR}/described)
    file(MAKE_DIRECTORY ${described})
    add_custom_command(OUTPUT ${described}/baton.1 ${described}/baton ${described}/baton.fish
        COMMAND baton manual > ${described}/baton.1
        COMMAND baton completion bash > ${described}/baton
        COMMAND baton completion fish > ${described}/baton.fish
        DEPENDS baton COMMENT "Describing the verbs of baton")
    add_custom_target(baton_described ALL DEPENDS ${described}/baton.1 ${described}/baton ${described}/baton.fish)
    install(FILES ${described}/baton.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
    install(FILES ${described}/baton DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
    install(FILES ${described}/baton.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
endif()

if(NOT TARGET baton_shared)
    return()
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/baton)

install(TARGETS baton_shared baton_static EXPORT baton-targets FILE_SET HEADERS)
install(EXPORT baton-targets NAMESPACE baton:: DESTINATION ${package_dir})

# Both files find the prefix from where they lie, so that an installed tree can be moved.
file(RELATIVE_PATH BATON_PC_PREFIX
    ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/baton.pc.in baton.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/baton.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

if(TARGET baton_hub_shared)
    install(TARGETS baton_hub_shared baton_hub_static EXPORT baton-hub-targets FILE_SET HEADERS)
    install(EXPORT baton-hub-targets NAMESPACE baton:: DESTINATION ${package_dir})
    configure_file(cmake/baton-hub.pc.in baton-hub.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/baton-hub.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()

configure_package_config_file(cmake/baton-config.cmake.in baton-config.cmake
    INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(baton-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES
    ${PROJECT_BINARY_DIR}/baton-config.cmake
    ${PROJECT_BINARY_DIR}/baton-config-version.cmake
    DESTINATION ${package_dir})
