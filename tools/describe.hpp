// What `info` and `doctor` tell about plugins and devices, as JSON.
#pragma once

#include <flagos.h>

#include <nlohmann/json.hpp>

#include <string>

namespace flagos::tools {

nlohmann::json describe_candidate(const flagos_candidate_info_t& info);

// All libraries that the runtime looked at.
nlohmann::json describe_candidates(flagos_runtime_t* runtime);

// Opens the device for its features and formats; what cannot be asked stands under "error".
nlohmann::json describe_device(flagos_runtime_t* runtime, std::uint32_t index);
nlohmann::json describe_devices(flagos_runtime_t* runtime);

// What lies between any two devices, seen from each.
nlohmann::json describe_links(flagos_runtime_t* runtime);

// Valid JSON text whatever bytes a plugin put into its strings. indent -1: one line.
std::string dump(const nlohmann::json& json, int indent);

// "features" of a device in words: one line for each of native, emulated and absent.
std::string feature_lines(const nlohmann::json& device, const std::string& indent);

// Ends a runtime when it goes out of scope.
class RuntimeOwner {
 public:
  explicit RuntimeOwner(std::uint64_t flags);  // throws CommandError
  ~RuntimeOwner() { flagos_runtime_destroy(runtime_); }
  RuntimeOwner(const RuntimeOwner&) = delete;
  RuntimeOwner& operator=(const RuntimeOwner&) = delete;
  operator flagos_runtime_t*() const { return runtime_; }

 private:
  flagos_runtime_t* runtime_ = nullptr;
};

}  // namespace flagos::tools
