# What `cmake --install` puts where: the program, the two libraries that a distribution may not have,
# the manual page, completion for shells, documentation, and files by which another CMake project
# finds the program (find_package(Sluice), target Sluice::sluice). There is no library to link: what
# others build upon are the protocols.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(private_dir lib/sluice)  # Debian's place for libraries of one program
set(doc_dir ${CMAKE_INSTALL_DATAROOTDIR}/doc/sluice)

# ONNX Runtime and DuckDB come along, unless they are the system's own.
set(brought_along "")
foreach(library ${OnnxRuntime_LIBRARY} ${DuckDB_LIBRARY})
  get_filename_component(directory ${library} DIRECTORY)
  if(NOT directory IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
    list(APPEND brought_along ${library})
  endif()
endforeach()
if(brought_along)
  set_target_properties(sluice PROPERTIES INSTALL_RPATH "\$ORIGIN/../${private_dir}")
endif()

install(TARGETS sluice EXPORT SluiceTargets RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

foreach(library ${brought_along})
  # By the name that the loader asks for (libonnxruntime.so.1), whatever the file is called.
  execute_process(COMMAND ${CMAKE_OBJDUMP} -p ${library} OUTPUT_VARIABLE headers
                  COMMAND_ERROR_IS_FATAL ANY)
  if(headers MATCHES "SONAME +([^\n ]+)")
    set(soname ${CMAKE_MATCH_1})
  else()
    get_filename_component(soname ${library} NAME)
  endif()
  get_filename_component(file ${library} REALPATH)
  install(FILES ${file} DESTINATION ${private_dir} RENAME ${soname})
  # Packages are stripped; DuckDB's symbols are a sixth of it.
  install(CODE "
    if(CMAKE_INSTALL_DO_STRIP)
      execute_process(COMMAND \"${CMAKE_STRIP}\" --strip-unneeded
        \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${private_dir}/${soname}\"
        COMMAND_ERROR_IS_FATAL ANY)
    endif()")
endforeach()

# The program says these itself, so that they are never behind. Compressed as Debian wants it,
# without a time, so that the same source gives the same bytes.
set(said ${CMAKE_BINARY_DIR}/said)
install(CODE "
  file(MAKE_DIRECTORY \"${said}\")
  execute_process(COMMAND \"$<TARGET_FILE:sluice>\" man COMMAND gzip -9n
    OUTPUT_FILE \"${said}/sluice.1.gz\" COMMAND_ERROR_IS_FATAL ANY)
  foreach(shell bash zsh fish)
    execute_process(COMMAND \"$<TARGET_FILE:sluice>\" completion \${shell}
      OUTPUT_FILE \"${said}/\${shell}\" COMMAND_ERROR_IS_FATAL ANY)
  endforeach()")
install(FILES ${said}/sluice.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${said}/bash DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/bash-completion/completions
        RENAME sluice)
install(FILES ${said}/zsh DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/zsh/vendor-completions
        RENAME _sluice)
install(FILES ${said}/fish DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/fish/vendor_completions.d
        RENAME sluice.fish)

install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION ${doc_dir}/docs)
install(FILES ${CMAKE_SOURCE_DIR}/README.md DESTINATION ${doc_dir})
# What clients are made from; the rest of proto/ is what the server speaks with others.
install(FILES ${CMAKE_SOURCE_DIR}/proto/prediction.proto
        DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/sluice/proto)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/proto/oip DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/sluice/proto)

set(config_dir lib/cmake/Sluice)
install(EXPORT SluiceTargets NAMESPACE Sluice:: DESTINATION ${config_dir})
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/SluiceConfig.cmake.in
                              ${CMAKE_BINARY_DIR}/SluiceConfig.cmake
                              INSTALL_DESTINATION ${config_dir}
                              PATH_VARS CMAKE_INSTALL_DATAROOTDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/SluiceConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/SluiceConfig.cmake ${CMAKE_BINARY_DIR}/SluiceConfigVersion.cmake
        DESTINATION ${config_dir})
