# ONNX Runtime as the imported target OnnxRuntime::OnnxRuntime.
#
# Looked for in this order: -DONNXRUNTIME_ROOT=<prefix with include/ and lib/>, the system's
# libonnxruntime-dev, and what `./dev setup` fetched into .deps/onnxruntime. A root that was asked
# for is the only place looked at: falling back to another version would go unnoticed.

set(ONNXRUNTIME_ROOT "" CACHE PATH "Prefix of an ONNX Runtime installation (include/ and lib/)")

function(_onnxruntime_look_in)
  find_path(OnnxRuntime_INCLUDE_DIR onnxruntime_cxx_api.h
            PATH_SUFFIXES include include/onnxruntime onnxruntime onnxruntime/core/session ${ARGN})
  find_library(OnnxRuntime_LIBRARY onnxruntime PATH_SUFFIXES lib lib64 ${ARGN})
endfunction()

if(ONNXRUNTIME_ROOT)
  _onnxruntime_look_in(PATHS "${ONNXRUNTIME_ROOT}" NO_DEFAULT_PATH)
else()
  _onnxruntime_look_in()
  if(NOT OnnxRuntime_INCLUDE_DIR OR NOT OnnxRuntime_LIBRARY)
    # Both from one place: headers newer than the library would ask it for an API it does not have.
    unset(OnnxRuntime_INCLUDE_DIR CACHE)
    unset(OnnxRuntime_LIBRARY CACHE)
    _onnxruntime_look_in(PATHS "${CMAKE_CURRENT_LIST_DIR}/../.deps/onnxruntime" NO_DEFAULT_PATH)
  endif()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  OnnxRuntime
  REQUIRED_VARS OnnxRuntime_LIBRARY OnnxRuntime_INCLUDE_DIR
  REASON_FAILURE_MESSAGE
    "run ./dev setup, install libonnxruntime-dev, or pass -DONNXRUNTIME_ROOT=<prefix>")

if(OnnxRuntime_FOUND AND NOT TARGET OnnxRuntime::OnnxRuntime)
  add_library(OnnxRuntime::OnnxRuntime SHARED IMPORTED)
  set_target_properties(
    OnnxRuntime::OnnxRuntime
    PROPERTIES IMPORTED_LOCATION "${OnnxRuntime_LIBRARY}"
               INTERFACE_INCLUDE_DIRECTORIES "${OnnxRuntime_INCLUDE_DIR}")
endif()
mark_as_advanced(OnnxRuntime_INCLUDE_DIR OnnxRuntime_LIBRARY)
