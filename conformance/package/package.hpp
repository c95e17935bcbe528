// A certification package: the files of a report, in a folder or in one .tar.zst.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

#include "conformance/package/archive.hpp"

namespace flagos::conformance {

// Opens either form without trust. Throws std::runtime_error with one sentence.
Files read_package(const std::string& path);

// "flagos-conformance-0.1.0-core-vendor-plugin-20260102-1a2b3c4d", from report.json.
std::string package_name(const nlohmann::json& report);
// Whether a file is named like a package.
bool is_package_name(const std::string& file_name);

// The text of SHA256SUMS: what `sha256sum -c` takes.
std::string make_sums(const Files& files);

// Throws std::runtime_error that names the file.
std::string read_whole_file(const std::string& path);

}  // namespace flagos::conformance
