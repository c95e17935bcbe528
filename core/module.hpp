// Modules, their kernels, prepared launches, and compiled blobs.
#pragma once

#include <flagos_plugin.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/command.hpp"
#include "core/device.hpp"

namespace flagos::core {

class Kernel;
class TileProgram;
struct TileRecord;

class Module : public Child {
 public:
  static constexpr Tag tag_of = Tag::module;

  Module(Device& device, flagos_plugin_module_t* native) : Child(Tag::module, device), native_(native) {}
  Module(Device& device, std::shared_ptr<TileProgram> program);
  void release() override;
  void on_destroy() override;  // ends the handles of its kernels

  flagos_plugin_module_t* native() const { return native_; }
  // The kernel of that name and signature, made at first use.
  Kernel& kernel(const flagos_kernel_desc_t& desc);
  std::vector<std::string> kernel_names() const;
  // Of a portable module, else nullptr.
  const TileProgram* program() const { return program_.get(); }

 private:
  flagos_plugin_kernel_t* find_native(const flagos_kernel_desc_t& desc);

  const std::shared_ptr<TileProgram> program_;  // shared with whoever loaded the same; owns `native_` then
  flagos_plugin_module_t* native_;
  std::mutex mutex_;
  bool destroyed_ = false;
  std::map<std::pair<std::string, std::string>, Kernel*> kernels_;  // by name and signature bytes; table references
};

class Kernel : public Child {
 public:
  static constexpr Tag tag_of = Tag::kernel;

  // With a record it is one of a portable module.
  Kernel(Module& module, flagos_plugin_kernel_t* native, const TileRecord* record = nullptr);

  flagos_plugin_kernel_t* native() const { return native_; }
  const flagos_kernel_info_t& info() const { return info_; }
  const std::vector<flagos_parameter_t>& parameters() const { return parameters_; }
  bool has_signature() const { return (info_.flags & FLAGOS_KERNEL_FLAG_SIGNATURE) != 0; }

  // Threads of a block at which a launch goes to the plugin as it is; 0 where core must put in the block first.
  std::uint32_t plain_block_threads() const { return plain_block_threads_; }
  // How a portable kernel is launched, else nullptr.
  const TileRecord* record() const { return record_; }
  // What the plugin allows a block, whatever the caller gives.
  std::uint32_t plugin_block_threads() const { return plugin_block_threads_; }

 private:
  void take_record();

  Ref<Module> module_;  // a plugin's kernel goes with its module
  flagos_plugin_kernel_t* native_;
  const TileRecord* record_;  // of the module's program
  std::uint32_t plain_block_threads_ = 0;
  std::uint32_t plugin_block_threads_ = 0;
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

}  // namespace flagos::core
