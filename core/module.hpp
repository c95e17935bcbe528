// Modules, their kernels, prepared launches, and compiled blobs.
#pragma once

#include <flagos_plugin.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/command.hpp"
#include "core/device.hpp"

namespace flagos::core {

class Kernel;

class Module : public Child {
 public:
  static constexpr Tag tag_of = Tag::module;

  Module(Device& device, flagos_plugin_module_t* native) : Child(Tag::module, device), native_(native) {}
  void release() override;
  void on_destroy() override;  // ends the handles of its kernels

  flagos_plugin_module_t* native() const { return native_; }
  // The kernel of that name and signature, made at first use.
  Kernel& kernel(const flagos_kernel_desc_t& desc);
  std::vector<std::string> kernel_names() const;

 private:
  flagos_plugin_module_t* native_;
  std::mutex mutex_;
  bool destroyed_ = false;
  std::map<std::pair<std::string, std::string>, Kernel*> kernels_;  // by name and signature bytes; table references
};

class Kernel : public Child {
 public:
  static constexpr Tag tag_of = Tag::kernel;

  Kernel(Module& module, flagos_plugin_kernel_t* native);

  flagos_plugin_kernel_t* native() const { return native_; }
  const flagos_kernel_info_t& info() const { return info_; }
  const std::vector<flagos_parameter_t>& parameters() const { return parameters_; }
  bool has_signature() const { return (info_.flags & FLAGOS_KERNEL_FLAG_SIGNATURE) != 0; }

 private:
  Ref<Module> module_;  // a plugin's kernel goes with its module
  flagos_plugin_kernel_t* native_;
  flagos_kernel_info_t info_{};
  std::vector<flagos_parameter_t> parameters_;
};

// A checked launch; `native` where the plugin has prepared launches.
class Prepared : public Child {
 public:
  static constexpr Tag tag_of = Tag::prepared;

  Prepared(Kernel& kernel, LaunchCommand launch);
  void release() override;

  flagos_plugin_prepared_t* native() const { return native_; }
  const LaunchCommand& launch() const { return launch_; }
  bool empty() const;  // a zero dimension

 private:
  LaunchCommand launch_;
  flagos_plugin_prepared_t* native_ = nullptr;
};

class Blob : public Child {
 public:
  static constexpr Tag tag_of = Tag::blob;
  explicit Blob(Device& device) : Child(Tag::blob, device) {}
  std::vector<std::byte> data;
  std::string format;
  std::string log;
};

// True if a dimension is zero: nothing is to be queued.
bool is_empty_launch(const flagos_launch_desc_t& desc);
// Checks a desc against device and kernel limits and against the signature; throws what flagos_kernel_launch documents.
void check_launch(const Kernel& kernel, const flagos_launch_desc_t& desc);

}  // namespace flagos::core
