// One queued operation as a value: what a capture records, what an emulated queue holds back, what a graph replays.
#pragma once

#include <flagos_plugin.h>

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "core/object.hpp"

namespace flagos::core {

struct CollectiveCall;
class Event;
class GraphExec;
class Kernel;
class NativeEvent;
class OperatorCall;
class PeerTransfer;
class Prepared;
class SharedEvent;
class Stream;
class Timeline;

struct CopyCommand {
  flagos_address_t target, source;
  std::uint64_t size_bytes;
};
struct Copy2dCommand {
  flagos_copy_2d_desc_t desc;
};
struct FillCommand {
  flagos_address_t target;
  std::array<std::uint8_t, 16> pattern;
  std::uint32_t pattern_size_bytes;
  std::uint64_t size_bytes;
};
struct UpdateCommand {
  flagos_address_t target;
  std::vector<std::byte> data;
};
struct PrefetchCommand {
  flagos_address_t address;
  std::uint64_t size_bytes;
};
struct WriteValueCommand {
  flagos_address_t target;
  std::uint64_t value;
  std::uint32_t size_bytes;
};
struct WaitValueCommand {
  flagos_address_t source;
  std::uint64_t value;
  std::uint32_t size_bytes;
  flagos_compare_t compare;
};
struct LaunchCommand {
  Ref<Kernel> kernel;
  flagos_launch_desc_t desc;         // packed; argument_block points into `arguments`
  std::vector<std::byte> arguments;  // (re-pointed by whoever issues it, since a move may keep or change the address)
};
struct LaunchPreparedCommand {
  Ref<Prepared> prepared;
};
struct RecordCommand {
  Ref<Event> event;
  std::shared_ptr<NativeEvent> record;  // where to record; nullptr (in graphs): the event's own at that time
};
struct WaitEventCommand {
  Ref<Event> event;
  std::shared_ptr<NativeEvent> record;  // what to wait for; nullptr (in graphs): the event's own at that time
};
struct HostCommand {
  flagos_host_function_t function;
  void* user_data;
};
struct WaitTimelineCommand {
  Ref<Timeline> timeline;
  std::uint64_t value;
};
struct SignalTimelineCommand {
  Ref<Timeline> timeline;
  std::uint64_t value;
};
struct GraphCommand {
  Ref<GraphExec> exec;
  std::shared_ptr<const void> program;  // the parameters in force when it was queued
};
// Around the nodes of a graph that core runs: records of what is between them share one correlation.
struct LaunchMarkCommand {
  bool begins;
};
// Moves bytes between two devices through the host, on a thread of core's.
struct PeerCopyCommand {
  std::shared_ptr<PeerTransfer> transfer;
};
// Waits for a record of an event that other processes know, too.
struct WaitSharedCommand {
  std::shared_ptr<SharedEvent> event;
  std::uint64_t record;
};
// A native operator, in a capture or held back.
struct OperatorCommand {
  std::shared_ptr<const OperatorCall> call;
};
// Native collectives of one call or one group, in a capture or held back.
struct CollectiveCommand {
  std::shared_ptr<const std::vector<CollectiveCall>> calls;
  std::vector<std::shared_ptr<const void>> tokens;  // see Communicator::hold_back
};
// Runs in core when the work before it is done: markers of the release queue and of pools.
struct NotifyCommand {
  std::function<void(flagos_status_t)> function;
};

using Command = std::variant<CopyCommand, Copy2dCommand, FillCommand, UpdateCommand, PrefetchCommand, WriteValueCommand,
                             WaitValueCommand, LaunchCommand, LaunchPreparedCommand, RecordCommand, WaitEventCommand,
                             HostCommand, WaitTimelineCommand, SignalTimelineCommand, GraphCommand, LaunchMarkCommand,
                             PeerCopyCommand, WaitSharedCommand, OperatorCommand, CollectiveCommand, NotifyCommand>;

// Hands a command to the plugin, with the emulations that need no waiting (2-D rows, wide fills, updates). Not for
// commands that need the soft queue on this device. Returns the plugin's status.
flagos_status_t issue(Stream& stream, const Command& command);

// Deep copy of a launch desc, with its arguments packed for the kernel. Throws what flagos_kernel_launch documents.
LaunchCommand make_launch(Kernel& kernel, const flagos_launch_desc_t& desc);

}  // namespace flagos::core
