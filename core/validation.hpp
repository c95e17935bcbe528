// The validation layer: what core does not check by default because it costs too much on every call.
// Called only when (process_state & process_validating).
#pragma once

#include <flagos.h>

#include <cstdint>

#include "core/command.hpp"

namespace flagos::core {

class Device;
class Event;
class Kernel;

// Parameters of dtype ADDRESS must point into live memory of the kernel's device, ordinary host memory only where its
// kernels can read it. Throws INVALID_ARGUMENT that names parameter and address. Also warns of a kernel whose block
// is no multiple of the device's subgroup. `desc` is packed.
void validate_launch(const Kernel& kernel, const flagos_launch_desc_t& desc);
// Warns of ranges that overlap without being equal.
void validate_copy(Device& device, flagos_address_t target, flagos_address_t source, std::uint64_t size_bytes);
// The memory that a graph's node uses must be live when the graph is launched. Throws INVALID_ARGUMENT.
void validate_command(Device& device, const Command& command, std::uint64_t node);
// Warns when an event is destroyed that a thread is waiting for; Event::synchronize runs inside an EventWait.
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
