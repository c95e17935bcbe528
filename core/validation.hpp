// The validation layer: what core does not check by default because it costs too much on every call.
// Called only when (process_state & process_validating).
#pragma once

#include <flagos.h>

#include <cstdint>
#include <map>
#include <string>

#include "core/command.hpp"

namespace flagos::core {

class Device;
class Event;
class Kernel;

// Parameters of dtype ADDRESS must not point to memory that was freed, that belongs to another device, or, unless
// kernels can read ordinary host memory, to nobody. Throws INVALID_ARGUMENT that names parameter and address.
// `desc` is packed.
void validate_launch(const Kernel& kernel, const flagos_launch_desc_t& desc);
// The same of the tensors of a native operator.
void validate_operator(Device& device, const flagos_operator_desc_t& desc);
// The same of the buffers of a native collective, which may be ordinary host memory.
void validate_collective(Device& device, const flagos_collective_desc_t& desc);
// Throws INVALID_ARGUMENT for memory that was freed; warns of memory of another device and of ranges that overlap
// without being equal.
void validate_copy(Device& device, flagos_address_t target, flagos_address_t source, std::uint64_t size_bytes);
// The memory that a graph's node uses must be live when the graph is launched. Throws INVALID_ARGUMENT.
void validate_command(Device& device, const Command& command, std::uint64_t node);

// An allocation was given back; its addresses are watched for as long as no other takes them.
void validate_freed(flagos_address_t base, std::uint64_t size_bytes);

// A plugin gave an object, or took it back. Throws PLUGIN_PROTOCOL for one that it has given already: two handles would be
// one stream or one event, and be destroyed twice. Plugins may number their objects, each kind of a device by itself;
// `device` is not looked into.
enum class NativeKind { stream, event, module, prepared, memory_pool, timeline, graph };
void validate_made(const Device* device, NativeKind kind, const void* native, const char* slot);
void validate_gone(const Device* device, NativeKind kind, const void* native);

// The same of a kernel. A plugin may give it again for its own name, and it goes with its module.
void validate_kernel(const Device* device, const void* module, const void* kernel, const char* name);

// Warns of what a plugin changed, and may not, while it was opened or closed: working directory, locale, rounding mode, signals.
class PluginManners {
 public:
  PluginManners(const std::string& path, const char* phase);
  ~PluginManners();
  PluginManners(const PluginManners&) = delete;
  PluginManners& operator=(const PluginManners&) = delete;

 private:
  const std::string& path_;
  const char* phase_;
  std::map<std::string, std::string> before_;  // empty when the layer is off
};

// Warns when an event is destroyed that a thread is waiting for; a host wait for an event runs inside an EventWait.
void validate_event_destroy(const Event& event);

class EventWait {
 public:
  explicit EventWait(const Event& event);
  ~EventWait();
  EventWait(const EventWait&) = delete;
  EventWait& operator=(const EventWait&) = delete;

 private:
  const Event* event_;  // nullptr when the layer is off
};

}  // namespace flagos::core
