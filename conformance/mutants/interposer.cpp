#include "conformance/mutants/interposer.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>

#include "conformance/mutants/catalogue.hpp"
#include "conformance/mutants/host.hpp"
#include "conformance/mutants/settings.hpp"

namespace flagos::conformance::mutants {
namespace {

constexpr std::size_t trace_size = trace_parts * slot_count;

// All that there is one of. It is never destroyed: the wrapped library stays mapped, as core keeps plugins mapped.
struct Interposer {
  std::mutex mutex;
  Settings settings;
  const Mutant* mutant = nullptr;
  flagos_plugin_open_t open = nullptr;
  bool installed = false;
  Tables tables{};
  void (*close)(flagos_plugin_instance_t*) = nullptr;
  struct Host {
    const flagos_host_t* core = nullptr;
    WrappedHostPointer wrapped;
  };
  std::map<flagos_plugin_instance_t*, Host> hosts;  // of the instances that live
  volatile unsigned char* trace = nullptr;
};

Interposer& self() {
  static auto* const made = new Interposer;
  return *made;
}

void map_trace(Interposer& it) {
  const int file = open(it.settings.trace.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) throw std::runtime_error("cannot open the trace '" + it.settings.trace + "'");
  void* const mapped = mmap(nullptr, trace_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (mapped == MAP_FAILED)
    throw std::runtime_error("cannot map the trace '" + it.settings.trace + "'");
  it.trace = static_cast<volatile unsigned char*>(mapped);
}

// At the first open: which plugin, which mutant.
void load(Interposer& it, const char* settings) {
  if (it.open != nullptr) return;
  it.settings = parse_settings(settings);
  const std::string& id = it.settings.mutant;
  if (!id.empty()) it.mutant = find_mutant(id);
  if (!id.empty() && it.mutant == nullptr)
    throw std::runtime_error("there is no mutant '" + id + "'");
  if (it.settings.wrapped.empty()) {
    throw std::runtime_error(
        "this file carries no mutant: flagos-conformance mutants --make writes one that does");
  }
  if (!it.settings.trace.empty()) map_trace(it);
  void* const library = dlopen(it.settings.wrapped.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(dlerror());
  it.open = reinterpret_cast<flagos_plugin_open_t>(dlsym(library, FLAGOS_PLUGIN_OPEN_SYMBOL));
  if (it.open == nullptr)
    throw std::runtime_error(it.settings.wrapped + " does not export " FLAGOS_PLUGIN_OPEN_SYMBOL);
}

template <typename Table>
void copy_table(Table& own, const Table* wrapped) {
  if (wrapped == nullptr) return;
  std::memcpy(&own, wrapped, std::min<std::size_t>(wrapped->struct_size, sizeof(own)));
  own.struct_size = sizeof(own);
}

void for_each_group(auto&& act) {
  act(&flagos_plugin_t::device, &Tables::device);
  act(&flagos_plugin_t::memory, &Tables::memory);
  act(&flagos_plugin_t::stream, &Tables::stream);
  act(&flagos_plugin_t::event, &Tables::event);
  act(&flagos_plugin_t::module, &Tables::module);
  act(&flagos_plugin_t::kernel, &Tables::kernel);
  act(&flagos_plugin_t::memory_pool, &Tables::memory_pool);
  act(&flagos_plugin_t::timeline, &Tables::timeline);
  act(&flagos_plugin_t::graph, &Tables::graph);
  act(&flagos_plugin_t::profiling, &Tables::profiling);
  act(&flagos_plugin_t::interop, &Tables::interop);
  act(&flagos_plugin_t::topology, &Tables::topology);
  act(&flagos_plugin_t::operators, &Tables::operators);
  act(&flagos_plugin_t::virtual_memory, &Tables::virtual_memory);
  act(&flagos_plugin_t::collective, &Tables::collective);
}

// Makes our tables from those of the wrapped plugin, with the bug in them.
void install(Interposer& it, const flagos_plugin_t& wrapped) {
  for_each_group([&](auto group, auto table) { copy_table(it.tables.*table, wrapped.*group); });
  const Mutant* const mutant = it.mutant;
  if (mutant != nullptr) {
    hooks = mutant->hooks;
    change = mutant->change;
  }
  if (it.trace != nullptr) {
    hooks.before = [](const Call& call) {
      self().trace[call.slot] = 1;
      return true;
    };
    hooks.after = [](const Call& call, flagos_status_t status) {
      if (status != FLAGOS_STATUS_OK) self().trace[slot_count + call.slot] = 1;
    };
  }
  const bool hooked = hooks.before != nullptr || hooks.after != nullptr;
  for (std::size_t i = 0; i < slot_count; ++i) {
    const Slot& slot = slots()[i];
    const AnyFunction function = slot.get(it.tables);
    if (function == nullptr) continue;
    slot.set_next(function);
    if (hooked) slot.put(it.tables, slot.hooked);
    if (it.trace != nullptr) it.trace[2 * slot_count + i] = 1;
    if (mutant != nullptr && mutant->slot == i && mutant->function != nullptr)
      slot.put(it.tables, mutant->function);
  }
  if (mutant != nullptr && mutant->prepare != nullptr) mutant->prepare(it.tables);
}

template <typename Table>
bool is_empty(const Table& table) {
  const auto* const bytes = reinterpret_cast<const unsigned char*>(&table);
  return std::all_of(bytes + 2 * sizeof(std::uint32_t), bytes + sizeof(table),
                     [](unsigned char byte) { return byte == 0; });
}

void close_instance(flagos_plugin_instance_t* instance) {
  Interposer& it = self();
  it.close(instance);
  const std::lock_guard lock(it.mutex);
  it.hosts.erase(instance);
}

flagos_status_t open_wrapped(const char* settings, const flagos_host_t& host,
                             flagos_plugin_t& out) {
  Interposer& it = self();
  const std::lock_guard lock(it.mutex);
  load(it, settings);
  WrappedHostPointer wrapped_host;
  if (it.mutant != nullptr && it.mutant->wraps_host) wrapped_host = wrap_host(host);
  flagos_plugin_t table{};
  table.struct_size = std::min<std::uint32_t>(out.struct_size, sizeof(table));
  const std::uint32_t room = table.struct_size;
  const flagos_status_t status =
      it.open(wrapped_host == nullptr ? &host : table_of(*wrapped_host), &table);
  if (status == FLAGOS_STATUS_OK) {
    if (!it.installed) install(it, table);
    it.installed = true;
    it.close = table.close;
    table.close = &close_instance;
    table.name = "mutant";  // beside the plugin that it wraps it is another one
    for_each_group([&](auto group, auto own_table) {
      table.*group = is_empty(it.tables.*own_table) ? nullptr : &(it.tables.*own_table);
    });
    it.hosts[table.instance] = {&host, std::move(wrapped_host)};
  }
  std::memcpy(&out, &table, std::min(room, table.struct_size));
  return status;
}

}  // namespace

flagos_status_t open_mutant(const char* settings, const flagos_host_t* host,
                            flagos_plugin_t* out_plugin) noexcept {
  try {
    return open_wrapped(settings, *host, *out_plugin);
  } catch (const std::exception& error) {
    host->set_error(host->context, FLAGOS_STATUS_INTERNAL, error.what());
    return FLAGOS_STATUS_INTERNAL;
  }
}

std::uint64_t mutant_number() {
  const std::string& id = self().settings.mutant;
  const auto at = id.find('@');
  return at == std::string::npos ? 0 : std::strtoull(id.c_str() + at + 1, nullptr, 10);
}

flagos_status_t made_up_failure() {
  Interposer& it = self();
  const std::lock_guard lock(it.mutex);
  // Texts go to the thread that calls, whichever instance the call is of.
  if (!it.hosts.empty()) {
    const flagos_host_t& host = *it.hosts.begin()->second.core;
    host.set_error(host.context, FLAGOS_STATUS_INTERNAL, "a failure that a mutant made up");
  }
  return FLAGOS_STATUS_INTERNAL;
}

void wait_for_stream(flagos_plugin_stream_t* stream) {
  if (stream != nullptr) next<slot::stream_synchronize>(stream, for_ever);
}

}  // namespace flagos::conformance::mutants
