// A plugin's file as the report names it, read without loading it.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace flagos::conformance {

// {name, size_bytes, sha256, build_id}; build_id is "" when the linker wrote none.
nlohmann::json describe_plugin_file(const std::string& path);

// Shared objects that this process has mapped, other than `plugin_path`: [{name, sha256}], by name.
nlohmann::json describe_loaded_libraries(const std::string& plugin_path);

// The build id in the bytes of an ELF file of 64 bits, as hexadecimal text; "" when there is none.
std::string elf_build_id(const std::string& bytes);

}  // namespace flagos::conformance
