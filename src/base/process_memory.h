// How much memory a process has of its own.
// Thread-safety: a function without state.
#pragma once

#include <cstdint>
#include <string>

namespace sluice {

// Bytes that are its alone: neither files nor shared (RssAnon of proc(5)). `process` is a number or
// "self"; 0 where that is not known.
std::uint64_t own_memory(const std::string& process);

}  // namespace sluice
