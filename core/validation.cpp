// The checks of the validation layer.
#include "core/validation.hpp"

#include <signal.h>

#include <array>
#include <cfenv>
#include <clocale>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <tuple>

#include "base/guard.hpp"
#include "core/collective.hpp"
#include "core/device.hpp"
#include "core/entry.hpp"
#include "core/event.hpp"
#include "core/log.hpp"
#include "core/module.hpp"
#include "core/operators.hpp"

namespace flagos::core {

namespace {

struct Range {
  flagos_address_t base = 0;
  std::uint64_t size_bytes = 0;
};

struct Watched {
  std::mutex mutex;
  std::array<Range, 1024> freed;  // the latest, as a ring
  std::size_t next = 0;
  std::map<const Event*, std::uint32_t> waits;
  std::set<std::tuple<const Device*, NativeKind, const void*>> natives;  // that plugins gave, and that live
  std::map<std::pair<const Device*, const void*>, std::pair<const void*, std::string>> kernels;  // module and name
};

Watched& watched() {
  static auto& the_watched = *new Watched;
  return the_watched;
}

bool was_freed(flagos_address_t address) {
  std::lock_guard lock(watched().mutex);
  for (const Range& range : watched().freed) {
    if (address >= range.base && address - range.base < range.size_bytes) return true;
  }
  return false;
}

// The id of another open device that the address belongs to, or "".
std::string foreign_owner(const Device& device, flagos_address_t address) {
  const auto others = handles.collect([&](const Object& object) {
    return object.tag() == Tag::device && &object != &device &&
           static_cast<const Device&>(object).info().index != device.info().index;
  });
  for (const Ref<Object>& other : others) {
    auto& owner = static_cast<Device&>(*other);
    if (owner.addresses().find(address) != nullptr) return owner.info().id;
  }
  return {};
}

// What is wrong with an address that a kernel or copy of `device` is given; "" when nothing is.
std::string complaint(Device& device, flagos_address_t address, bool kernel) {
  if (address == 0 || device.addresses().find(address) != nullptr) return {};
  if (const std::string owner = foreign_owner(device, address); !owner.empty())
    return fmt::format("{:#x} is memory of device {}, not of {}", address, owner, device.info().id);
  if (was_freed(address)) return fmt::format("{:#x} lies in memory that was freed", address);
  const bool host = (device.info().capabilities & FLAGOS_DEVICE_CAPABILITY_PAGEABLE_KERNEL_ACCESS) != 0;
  if (kernel && !host)
    return fmt::format("{:#x} is no memory of device {}, whose kernels cannot reach ordinary host memory", address,
                       device.info().id);
  return {};
}

void refuse_freed(Device& device, flagos_address_t address, const std::string& what) {
  if (device.addresses().find(address) == nullptr && was_freed(address))
    throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "validation: {}: {:#x} lies in memory that was freed", what, address);
}

void check_arguments(const Kernel& kernel, const void* block, std::uint64_t size_bytes, const std::string& where) {
  const auto& parameters = kernel.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const flagos_parameter_t& parameter = parameters[i];
    if (parameter.dtype != FLAGOS_DTYPE_ADDRESS || parameter.offset_bytes + std::uint64_t{8} > size_bytes) continue;
    flagos_address_t address = 0;
    std::memcpy(&address, static_cast<const char*>(block) + parameter.offset_bytes, sizeof(address));
    const std::string wrong = complaint(kernel.device(), address, true);
    if (!wrong.empty())
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "validation: {}kernel '{}', parameter {}: {}", where,
                  kernel.info().name, i, wrong);
  }
}

void check_tensors(Device& device, const flagos_operator_desc_t& desc, const std::string& where) {
  for_each_tensor(desc, [&](std::uint32_t argument, const flagos_tensor_t& tensor) {
    const std::string wrong = complaint(device, tensor.address, true);
    if (!wrong.empty() && tensor.address != 0)
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "validation: {}operator '{}', argument {}: {}", where,
                  device.operators()[desc.index].name, argument, wrong);
  });
}

void check_collective(Device& device, const flagos_collective_desc_t& desc, const std::string& where) {
  for (const flagos_address_t address : {desc.source, desc.target}) {
    const std::string wrong = complaint(device, address, false);
    if (!wrong.empty())
      throw_error(FLAGOS_STATUS_INVALID_ARGUMENT, "validation: {}a buffer of a collective: {}", where, wrong);
  }
}

struct NodeCheck {
  Device& device;
  std::string where;

  void operator()(const CopyCommand& command) const {
    refuse_freed(device, command.target, where + "target");
    refuse_freed(device, command.source, where + "source");
  }
  void operator()(const Copy2dCommand& command) const {
    refuse_freed(device, command.desc.target, where + "target");
    refuse_freed(device, command.desc.source, where + "source");
  }
  void operator()(const FillCommand& command) const { refuse_freed(device, command.target, where + "target"); }
  void operator()(const LaunchCommand& command) const {
    check_arguments(*command.kernel, command.arguments.data(), command.arguments.size(), where);
  }
  void operator()(const OperatorCommand& command) const { check_tensors(device, command.call->desc(), where); }
  void operator()(const CollectiveCommand& command) const {
    for (const CollectiveCall& call : *command.calls) check_collective(device, call.desc, where);
  }
  template <typename T>
  void operator()(const T&) const {}
};

// What plugins may not change, and its values in words.
std::map<std::string, std::string> look_at_process() {
  std::error_code ignored;
  std::map<std::string, std::string> found{
      {"the working directory", std::filesystem::current_path(ignored).string()},
      {"the locale", std::setlocale(LC_ALL, nullptr)},
      {"the rounding mode", std::to_string(std::fegetround())},
  };
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  std::string& blocked = found["the blocked signals"];
  for (int number = 1; number < NSIG; ++number) {
    if (sigismember(&mask, number) == 1) blocked += (blocked.empty() ? "" : " ") + std::to_string(number);
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) == 0)
      found["the handler of signal " + std::to_string(number)] =
          fmt::format("{}", reinterpret_cast<const void*>(action.sa_handler));
  }
  return found;
}

}  // namespace

void validate_launch(const Kernel& kernel, const flagos_launch_desc_t& desc) {
  if (desc.argument_block != nullptr) check_arguments(kernel, desc.argument_block, desc.argument_bytes, "");
}

void validate_operator(Device& device, const flagos_operator_desc_t& desc) { check_tensors(device, desc, ""); }

void validate_collective(Device& device, const flagos_collective_desc_t& desc) { check_collective(device, desc, ""); }

void validate_copy(Device& device, flagos_address_t target, flagos_address_t source, std::uint64_t size_bytes) {
  refuse_freed(device, target, "copy target");
  refuse_freed(device, source, "copy source");
  for (const flagos_address_t address : {target, source}) {
    if (const std::string wrong = complaint(device, address, false); !wrong.empty())
      log(FLAGOS_LOG_LEVEL_WARNING, "validation: copy: {}", wrong);
  }
  const std::uint64_t distance = target > source ? target - source : source - target;
  if (distance != 0 && distance < size_bytes)
    log(FLAGOS_LOG_LEVEL_WARNING, "validation: a copy of {} bytes from {:#x} to {:#x} overlaps itself", size_bytes,
        source, target);
}

void validate_command(Device& device, const Command& command, std::uint64_t node) {
  std::visit(NodeCheck{device, fmt::format("graph node {:#x}, ", node)}, command);
}

void validate_freed(flagos_address_t base, std::uint64_t size_bytes) {
  std::lock_guard lock(watched().mutex);
  watched().freed[watched().next] = {base, size_bytes};
  watched().next = (watched().next + 1) % watched().freed.size();
}

void validate_made(const Device* device, NativeKind kind, const void* native, const char* slot) {
  if ((process_state.load(std::memory_order_relaxed) & process_validating) == 0) return;
  std::lock_guard lock(watched().mutex);
  if (!watched().natives.emplace(device, kind, native).second)
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL, "validation: the plugin gave the object {} twice from {}", native, slot);
}

void validate_gone(const Device* device, NativeKind kind, const void* native) {
  if ((process_state.load(std::memory_order_relaxed) & process_validating) == 0) return;
  std::lock_guard lock(watched().mutex);
  watched().natives.erase({device, kind, native});
  if (kind != NativeKind::module) return;
  std::erase_if(watched().kernels,
                [&](const auto& kernel) { return kernel.first.first == device && kernel.second.first == native; });
}

void validate_kernel(const Device* device, const void* module, const void* kernel, const char* name) {
  if ((process_state.load(std::memory_order_relaxed) & process_validating) == 0) return;
  std::lock_guard lock(watched().mutex);
  const auto [known, is_new] = watched().kernels.try_emplace({device, kernel}, module, name);
  if (!is_new && known->second != std::pair<const void*, std::string>(module, name))
    throw_error(FLAGOS_STATUS_PLUGIN_PROTOCOL,
                "validation: the plugin gave the object {} twice from module.get_kernel: for '{}' and for '{}'", kernel,
                known->second.second, name);
}

PluginManners::PluginManners(const std::string& path, const char* phase) : path_(path), phase_(phase) {
  if ((process_state.load(std::memory_order_relaxed) & process_validating) == 0) return;
  guard([&] { before_ = look_at_process(); }, [](flagos_status_t, const char*) {});
}

PluginManners::~PluginManners() {
  if (before_.empty()) return;
  const auto compare = [&] {
    for (const auto& [what, now] : look_at_process()) {
      if (now != before_[what])
        log(FLAGOS_LOG_LEVEL_WARNING, "validation: {} changed {} from '{}' to '{}' while it was {}", path_, what,
            before_[what], now, phase_);
    }
  };
  guard(compare, [](flagos_status_t, const char*) {});
}

void validate_event_destroy(const Event& event) {
  std::lock_guard lock(watched().mutex);
  const auto found = watched().waits.find(&event);
  if (found != watched().waits.end())
    log(FLAGOS_LOG_LEVEL_WARNING, "validation: an event is destroyed while {} threads wait for it", found->second);
}

EventWait::EventWait(const Event& event)
    : event_((process_state.load(std::memory_order_relaxed) & process_validating) != 0 ? &event : nullptr) {
  if (event_ == nullptr) return;
  std::lock_guard lock(watched().mutex);
  ++watched().waits[event_];
}

EventWait::~EventWait() {
  if (event_ == nullptr) return;
  std::lock_guard lock(watched().mutex);
  const auto found = watched().waits.find(event_);
  if (--found->second == 0) watched().waits.erase(found);
}

}  // namespace flagos::core
