// Ranks of one process, driven by one thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "comm/testing/cases.hpp"

namespace flagos::comm::testing {

// A communicator whose ranks are all in this process; rank i on kinds[i % kinds.size()].
class LocalWorld {
 public:
  LocalWorld(const std::vector<std::string>& kinds, std::uint32_t size, std::uint32_t flags = 0,
             std::uint64_t timeout_ms = 20'000) {
    std::vector<flagos_device_t*> handles;
    for (std::uint32_t i = 0; i < size; ++i) {
      devices.push_back(std::make_unique<RankDevice>(kinds[i % kinds.size()]));
      handles.push_back(devices.back()->device());
    }
    flagos_comm_config_t config{};
    config.struct_size = sizeof(config);
    config.flags = flags;
    config.timeout_ns = timeout_ms * 1'000'000;
    comms.resize(size);
    check(flagos_comm_create_all(size, handles.data(), &config, comms.data()));
  }
  ~LocalWorld() {
    for (flagos_comm_t* comm : comms) flagos_comm_destroy(comm);
    for (std::size_t i = 0; i < buffers.size(); ++i) devices[i % devices.size()]->free(buffers[i]);
  }

  LocalWorld(const LocalWorld&) = delete;
  LocalWorld& operator=(const LocalWorld&) = delete;

  // One buffer on each rank's device, freed with the world.
  std::vector<flagos_address_t> alloc(std::uint64_t bytes) {
    std::vector<flagos_address_t> made;
    for (auto& device : devices) made.push_back(device->alloc(bytes));
    buffers.insert(buffers.end(), made.begin(), made.end());
    return made;
  }

  // All ranks' calls from this thread.
  std::string run(const Case& test) {
    std::vector<std::unique_ptr<RankCase>> ranks;
    const auto size = static_cast<std::uint32_t>(comms.size());
    for (std::uint32_t i = 0; i < size; ++i)
      ranks.push_back(std::make_unique<RankCase>(test, i, size, *devices[i]));
    for (std::uint32_t i = 0; i < size; ++i)
      if (ranks[i]->call(comms[i]) != FLAGOS_STATUS_OK)
        return test.text() + ": " + flagos_last_error();
    for (std::uint32_t i = 0; i < size; ++i) {
      if (devices[i]->synchronize() == FLAGOS_STATUS_OK) continue;
      flagos_status_t status = FLAGOS_STATUS_OK;
      flagos_comm_query_status(comms[i], &status);
      return test.text() + ": stream: " + flagos_last_error();
    }
    for (auto& rank : ranks)
      if (std::string wrong = rank->verify(); !wrong.empty()) return wrong;
    return "";
  }

  // How rank 0 did the last operation.
  std::string algorithm() const {
    flagos_comm_info_t info{};
    info.struct_size = sizeof(info);
    check(flagos_comm_get_info(comms[0], &info));
    return info.algorithm;
  }
  // How many pieces the devices of all ranks have reduced.
  std::uint64_t device_reductions() const {
    std::uint64_t sum = 0;
    for (flagos_comm_t* const comm : comms) {
      flagos_comm_info_t info{};
      info.struct_size = sizeof(info);
      check(flagos_comm_get_info(comm, &info));
      sum += info.device_reductions;
    }
    return sum;
  }

  std::vector<std::unique_ptr<RankDevice>> devices;
  std::vector<flagos_comm_t*> comms;
  std::vector<flagos_address_t> buffers;
};

// cpu, and what else the machine has.
inline std::vector<std::string> mixed_kinds() {
  std::vector<std::string> kinds = {"cpu"};
  for (const char* kind : {"opencl", "vulkan"})
    if (RankDevice::exists(kind)) kinds.push_back(kind);
  return kinds;
}

}  // namespace flagos::comm::testing
