# The Debian package: `cmake --build --preset release --target package`, or ./dev package.
# deploy/deb/prove installs, starts and purges it in a Debian that has nothing else.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME sluice)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "model server, from model file to safe rollout")
set(CPACK_PACKAGE_DESCRIPTION
    "Serves ONNX, XGBoost and scikit-learn models over REST and gRPC (its own
API, the Open Inference Protocol, TensorFlow Serving's REST), and rolls new
versions out by canaries, splits, shadows and bandits, which it takes back
when they do harm.
.
It brings ONNX Runtime and DuckDB, which Debian 12 has no packages of.")
set(CPACK_PACKAGE_CONTACT "Sluice maintainers <maintainers@sluice.invalid>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/package)
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 1)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# procps has the kill of ExecReload=.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates, procps")
# Only for pickles, which are off unless they are allowed.
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "python3-sklearn, python3-joblib")
# What files in it may be; others' scripts cannot change what root runs.
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(deb ${CMAKE_SOURCE_DIR}/deploy/deb)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${deb}/postinst ${deb}/prerm ${deb}/postrm ${deb}/conffiles)
# Beside what `cmake --install` installs; that leaves these out.
install(FILES ${deb}/sluice.service DESTINATION /lib/systemd/system COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${deb}/sluice.yaml DESTINATION /etc/sluice COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${deb}/copyright DESTINATION ${doc_dir} COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${deb}/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/lintian/overrides
        RENAME sluice COMPONENT debian EXCLUDE_FROM_ALL)
install(CODE "
  execute_process(COMMAND gzip -9nc \"${deb}/changelog\" OUTPUT_FILE \"${said}/changelog.gz\"
    COMMAND_ERROR_IS_FATAL ANY)" COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${said}/changelog.gz DESTINATION ${doc_dir} COMPONENT debian EXCLUDE_FROM_ALL)
set(CPACK_INSTALL_CMAKE_PROJECTS "${CMAKE_BINARY_DIR};${PROJECT_NAME};ALL;/"
                                 "${CMAKE_BINARY_DIR};${PROJECT_NAME};debian;/")
include(CPack)
