// Loads plugins through the API and prints one JSON object, for the script that judges the answers.
//
// usage: flagos_broken_plugin_loader add FILE...   flagos_runtime_add_plugin, one after the other
//        flagos_broken_plugin_loader search        flagos_runtime_create with the environment
#include <flagos.h>

#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using nlohmann::json;

json candidates(flagos_runtime_t* runtime) {
  json result = json::array();
  std::uint32_t count = 0;
  flagos_runtime_get_candidate_count(runtime, &count);
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_candidate_info_t info{};
    info.struct_size = sizeof(info);
    if (flagos_runtime_get_candidate(runtime, i, &info) != FLAGOS_STATUS_OK) continue;
    result.push_back({{"path", info.path},
                      {"name", info.name},
                      {"verdict", info.verdict},
                      {"reason", info.reason},
                      {"abi_version", info.abi_version},
                      {"device_count", info.device_count}});
  }
  return result;
}

// Whether each device can be opened and asked for its memory; the error text where not.
json devices(flagos_runtime_t* runtime) {
  json result = json::array();
  std::uint32_t count = 0;
  flagos_device_get_count(runtime, &count);
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_device_t* device = nullptr;
    std::uint64_t free_bytes = 0, total_bytes = 0;
    flagos_status_t status = flagos_device_open(runtime, i, &device);
    if (status == FLAGOS_STATUS_OK)
      status = flagos_device_query_memory(device, &free_bytes, &total_bytes);
    result.push_back({{"status", flagos_status_get_name(status)},
                      {"text", status == FLAGOS_STATUS_OK ? "" : flagos_last_error()},
                      {"free_bytes", free_bytes},
                      {"total_bytes", total_bytes}});
    flagos_device_close(device);
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const bool search = argc == 2 && std::strcmp(argv[1], "search") == 0;
  if (!search && (argc < 3 || std::strcmp(argv[1], "add") != 0)) {
    std::fprintf(stderr, "usage: %s add FILE... | search\n", argv[0]);
    return 2;
  }
  flagos_runtime_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = search ? 0 : FLAGOS_RUNTIME_FLAG_NO_SEARCH;
  flagos_runtime_t* runtime = nullptr;
  json result;
  const flagos_status_t created = flagos_runtime_create(&desc, &runtime);
  result["create"] = {{"status", flagos_status_get_name(created)},
                      {"text", created == FLAGOS_STATUS_OK ? "" : flagos_last_error()},
                      {"is_null", runtime == nullptr}};
  result["add"] = json::array();
  for (int i = 2; i < argc; ++i) {
    const flagos_status_t status = flagos_runtime_add_plugin(runtime, argv[i]);
    result["add"].push_back({{"status", flagos_status_get_name(status)},
                             {"text", status == FLAGOS_STATUS_OK ? "" : flagos_last_error()}});
  }
  if (runtime) {
    result["candidates"] = candidates(runtime);
    result["devices"] = devices(runtime);
  }
  result["destroy"] = flagos_status_get_name(flagos_runtime_destroy(runtime));
  std::printf("%s\n", result.dump(-1, ' ', false, json::error_handler_t::replace).c_str());
  return 0;
}
