// Names for the numbers of flagos.h, for people and for JSON.
#pragma once

#include <flagos.h>

#include <string>

namespace flagos::tools {

const char* verdict_name(flagos_verdict_t verdict);
const char* feature_name(flagos_feature_t feature);
const char* support_name(flagos_support_t support);
const char* device_type_name(flagos_device_type_t type);
const char* link_type_name(flagos_link_type_t type);
const char* schedule_class_name(flagos_schedule_class_t schedule_class);
std::string version_text(std::uint32_t abi_version);
std::string bytes_text(std::uint64_t bytes);  // "1.5 GiB"

// Throws CommandError with the error text of a failed call.
void check(flagos_status_t status, const char* what);

}  // namespace flagos::tools
