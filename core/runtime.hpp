// A runtime: candidates, plugins, and the numbering of their devices.
#pragma once

#include <flagos.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/object.hpp"
#include "core/plugin.hpp"

namespace flagos::core {

class Runtime : public Object {
 public:
  static constexpr Tag tag_of = Tag::runtime;
  struct DeviceEntry {
    Plugin* plugin;
    std::uint32_t ordinal;
    flagos_device_info_t info;
  };

  explicit Runtime(const flagos_runtime_desc_t& desc);
  ~Runtime() override;

  void search();
  // Throws PLUGIN_REJECTED with the candidate's reason.
  void add_plugin(const std::string& path);
  bool reads_environment() const { return environment_; }

  std::vector<flagos_candidate_info_t> candidates();
  std::vector<DeviceEntry> devices();

  void attach(Device* device);
  void detach(Device* device);
  // For tests: a plugin that is part of the program.
  void add_opened(const std::string& path, flagos_plugin_open_t open);

  // Destroys all that lives, waiting up to 10 s for pending work; false if a device is still in use then.
  bool shut_down();

 private:
  // Judges and opens one library; its verdict is appended to the candidates. Under mutex_.
  // `out_failure`: the status behind a refusal, where it is an error.
  flagos_candidate_info_t consider(const std::string& path, flagos_status_t* out_failure = nullptr);
  void open_plugin(std::unique_ptr<Plugin> plugin, flagos_plugin_open_t open, flagos_candidate_info_t& candidate);
  bool has_plugin(const std::string& name) const;

  const bool environment_;
  std::mutex mutex_;
  std::vector<flagos_candidate_info_t> candidates_;
  std::vector<std::unique_ptr<Plugin>> plugins_;
  std::vector<DeviceEntry> devices_;
  std::vector<Device*> open_devices_;
};

}  // namespace flagos::core
