// What the host offers, what the plugin answers: versions, table sizes and slots.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <thread>

#include "conformance/cases/guarded.hpp"
#include "conformance/cases/plugin_probe.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::size_t frozen_size = 32;  // through `name`: all majors agree on it
static_assert(offsetof(flagos_plugin_t, vendor) == frozen_size);

// Accepted, with exactly this version, and working.
void accepts(Context& t, const PluginLibrary& library, std::uint32_t abi_min, std::uint32_t abi_max,
             std::uint32_t expected) {
  t.subcase("the host offers " + std::to_string(abi_min) + " to " + std::to_string(abi_max));
  PluginProbe probe(library, abi_min, abi_max);
  t.status(probe.status(), ok, "flagos_plugin_open");
  t.equal(probe.plugin().abi_version, expected, "the version agreed on");
  t.check(probe.plugin().name != nullptr && probe.plugin().close != nullptr,
          "name and close are there");
  const std::string problem = probe.smoke(t.settings().device_ordinal);
  t.check(problem.empty(), problem);
}

// Refused, with the plugin's own range and nothing half made.
void refuses(Context& t, const PluginLibrary& library, std::uint32_t abi_min,
             std::uint32_t abi_max) {
  t.subcase("the host offers " + std::to_string(abi_min) + " to " + std::to_string(abi_max));
  PluginProbe probe(library, abi_min, abi_max);
  t.status(probe.status(), FLAGOS_STATUS_UNSUPPORTED_VERSION, "flagos_plugin_open");
  t.equal(probe.plugin().abi_version, 0, "the version agreed on");
  t.check(probe.plugin().instance == nullptr, "no instance is made");
  t.check(probe.plugin().abi_version_min != 0 &&
              probe.plugin().abi_version_min <= probe.plugin().abi_version_max,
          "the plugin tells its own range");
  t.equal(probe.host().live_allocations(), 0, "memory of the host that is not given back");
}

PluginLibrary& library_of(Context& t) {
  static PluginLibrary library(t.settings().plugin_path);
  t.check(library.error().empty(), library.error());
  return library;
}

}  // namespace

FLAGOS_CASE("abi.neg.version_exact",
            {.clause = "flagos_plugin_open", .oracle = Oracle::code, .isolation = Isolation::own}) {
  accepts(t, library_of(t), FLAGOS_ABI_VERSION, FLAGOS_ABI_VERSION, FLAGOS_ABI_VERSION);
}

FLAGOS_CASE("abi.neg.host_older", {.clause = "flagos_host_t::abi_version_max",
                                   .oracle = Oracle::code,
                                   .isolation = Isolation::own}) {
  PluginLibrary& library = library_of(t);
  std::uint32_t oldest = 0, newest = 0;
  {
    PluginProbe probe(library);
    t.status(probe.status(), ok, "flagos_plugin_open");
    oldest = probe.plugin().abi_version_min;
    newest = probe.plugin().abi_version_max;
  }
  t.check(oldest != 0 && oldest <= FLAGOS_ABI_VERSION && newest >= FLAGOS_ABI_VERSION,
          "the range that the plugin tells holds the version agreed on");
  for (std::uint32_t version = oldest; version <= newest; ++version)
    accepts(t, library, oldest, version, version);
}

FLAGOS_CASE("abi.neg.host_newer", {.clause = "flagos_host_t::abi_version_max",
                                   .oracle = Oracle::code,
                                   .isolation = Isolation::own}) {
  PluginLibrary& library = library_of(t);
  std::uint32_t newest = 0;
  {
    PluginProbe probe(library);
    newest = probe.plugin().abi_version_max;
  }
  for (const std::uint32_t minor : {FLAGOS_ABI_MINOR + 1u, 0xffffu}) {
    const std::uint32_t offered = FLAGOS_MAKE_VERSION(FLAGOS_ABI_MAJOR, minor);
    accepts(t, library, FLAGOS_ABI_VERSION, offered, std::min(offered, newest));
  }
}

FLAGOS_CASE("abi.neg.major_mismatch", {.clause = "flagos_plugin_open: UNSUPPORTED_VERSION",
                                       .oracle = Oracle::code,
                                       .isolation = Isolation::own}) {
  PluginLibrary& library = library_of(t);
  refuses(t, library, FLAGOS_MAKE_VERSION(FLAGOS_ABI_MAJOR + 1, 0),
          FLAGOS_MAKE_VERSION(FLAGOS_ABI_MAJOR + 1, 9));
  refuses(t, library, FLAGOS_MAKE_VERSION(0, 1), FLAGOS_MAKE_VERSION(0, 9));
  accepts(t, library, FLAGOS_ABI_VERSION, FLAGOS_ABI_VERSION, FLAGOS_ABI_VERSION);
}

FLAGOS_CASE("abi.neg.zero_version", {.clause = "flagos_plugin_open: UNSUPPORTED_VERSION",
                                     .oracle = Oracle::code,
                                     .isolation = Isolation::own}) {
  PluginLibrary& library = library_of(t);
  refuses(t, library, 0, 0);
  refuses(t, library, UINT32_MAX, UINT32_MAX);
  accepts(t, library, FLAGOS_ABI_VERSION, FLAGOS_ABI_VERSION, FLAGOS_ABI_VERSION);
}

FLAGOS_CASE("abi.neg.out_table_size_smaller", {.clause = "flagos_plugin_t::struct_size",
                                               .oracle = Oracle::code,
                                               .isolation = Isolation::own}) {
  PluginLibrary& library = library_of(t);
  // Below `kernel` a plugin may refuse; whatever it says, it stays inside.
  for (const std::size_t size :
       {frozen_size, offsetof(flagos_plugin_t, device), offsetof(flagos_plugin_t, memory_pool),
        sizeof(flagos_plugin_t) - 8}) {
    t.subcase("room for " + std::to_string(size) + " bytes");
    const Guarded room(size);
    auto* const plugin = reinterpret_cast<flagos_plugin_t*>(room.data());
    plugin->struct_size = static_cast<std::uint32_t>(size);
    ProbeHost host;
    const flagos_status_t status = library.open()(host.table(), plugin);
    t.check(plugin->struct_size <= size, "it wrote no more than there is room for");
    if (size >= offsetof(flagos_plugin_t, memory_pool))
      t.status(status, ok, "all required groups fit");
    if (status != ok) continue;
    t.equal(plugin->abi_version, FLAGOS_ABI_VERSION, "the version agreed on");
    if (size >= offsetof(flagos_plugin_t, device)) plugin->close(plugin->instance);
  }
  accepts(t, library, FLAGOS_ABI_VERSION, FLAGOS_ABI_VERSION, FLAGOS_ABI_VERSION);
}

FLAGOS_CASE("abi.neg.out_table_size_larger", {.clause = "flagos_plugin_t::struct_size",
                                              .oracle = Oracle::code,
                                              .isolation = Isolation::own}) {
  PluginLibrary& library = library_of(t);
  for (const std::size_t more : {std::size_t{8}, std::size_t{4096}}) {
    t.subcase(std::to_string(more) + " bytes more than the plugin knows");
    std::vector<std::uint64_t> room((sizeof(flagos_plugin_t) + more) / 8, 0);
    std::fill(room.begin() + sizeof(flagos_plugin_t) / 8, room.end(), 0x5a5a5a5a5a5a5a5au);
    auto* const plugin = reinterpret_cast<flagos_plugin_t*>(room.data());
    plugin->struct_size = static_cast<std::uint32_t>(room.size() * 8);
    ProbeHost host;
    t.status(library.open()(host.table(), plugin), ok, "flagos_plugin_open");
    t.check(plugin->struct_size <= room.size() * 8 &&
                plugin->struct_size >= offsetof(flagos_plugin_t, memory_pool),
            "it tells the end of what it wrote");
    const auto tail = room.begin() + (plugin->struct_size + 7) / 8;
    t.check(
        std::all_of(tail, room.end(),
                    [](std::uint64_t word) { return word == 0x5a5a5a5a5a5a5a5au || word == 0; }),
        "the rest is untouched");
    plugin->close(plugin->instance);
  }
  accepts(t, library, FLAGOS_ABI_VERSION, FLAGOS_ABI_VERSION, FLAGOS_ABI_VERSION);
}

FLAGOS_CASE("abi.neg.null_required_slot", {.clause = "flagos_plugin.h: required groups",
                                           .oracle = Oracle::code,
                                           .isolation = Isolation::own}) {
  PluginProbe probe(library_of(t));
  t.status(probe.status(), ok, "flagos_plugin_open");
  for (const Slot& slot : slots_of(probe.plugin()))
    if (slot.required)
      t.check(slot.filled, std::string(slot.group) + "." + slot.name + " is filled");
  const std::string problem = probe.smoke(t.settings().device_ordinal);
  t.check(problem.empty(), problem);
}

FLAGOS_CASE("abi.neg.optional_slot_consistency",
            {.clause = "flagos_plugin.h: GROWTH, optional groups",
             .oracle = Oracle::code,
             .isolation = Isolation::own}) {
  PluginProbe probe(library_of(t));
  const std::string odd = inconsistent_set(probe.plugin());
  t.check(odd.empty(), "sets of slots come together or not at all, see " + odd);
  const std::vector<std::pair<flagos_feature_t, std::pair<const char*, const char*>>> natives{
      {FLAGOS_FEATURE_COPY_2D, {"memory", "copy_2d"}},
      {FLAGOS_FEATURE_MEMORY_UPDATE, {"memory", "update"}},
      {FLAGOS_FEATURE_HOST_REGISTER, {"memory", "host_register"}},
      {FLAGOS_FEATURE_PREFETCH, {"memory", "prefetch"}},
      {FLAGOS_FEATURE_MEMORY_POOL, {"memory_pool", "alloc"}},
      {FLAGOS_FEATURE_HOST_CALLBACK, {"stream", "launch_host"}},
      {FLAGOS_FEATURE_TIMELINE, {"timeline", "wait"}},
      {FLAGOS_FEATURE_GRAPH, {"graph", "launch"}},
      {FLAGOS_FEATURE_COMPILE, {"module", "compile"}},
      {FLAGOS_FEATURE_PREPARED_LAUNCH, {"kernel", "prepare"}},
      {FLAGOS_FEATURE_PROFILING, {"profiling", "enable"}},
      {FLAGOS_FEATURE_RECOVER, {"device", "recover"}},
      {FLAGOS_FEATURE_MODULE_GLOBAL, {"module", "get_global"}},
      {FLAGOS_FEATURE_PEER_COPY, {"memory", "copy_peer"}},
      {FLAGOS_FEATURE_EXPORT_MEMORY, {"interop", "export_memory"}},
      {FLAGOS_FEATURE_OPERATORS, {"operators", "run"}},
      {FLAGOS_FEATURE_COLLECTIVE, {"collective", "communicator_create"}},
      {FLAGOS_FEATURE_VIRTUAL_MEMORY, {"virtual_memory", "map"}}};
  const auto slots = slots_of(probe.plugin());
  for (const auto& [feature, slot] : natives) {
    t.subcase(std::string(slot.first) + "." + slot.second);
    if (t.support(feature) == FLAGOS_SUPPORT_NATIVE)
      t.check(slot_filled(slots, slot.first, slot.second), "a native feature has its slot");
  }
  // Any one of these slots makes the feature.
  const bool shows_or_wraps = std::any_of(slots.begin(), slots.end(), [](const Slot& slot) {
    return slot.filled && std::string(slot.name).find("native") != std::string::npos;
  });
  t.equal(t.support(FLAGOS_FEATURE_NATIVE_OBJECTS) == FLAGOS_SUPPORT_NATIVE, shows_or_wraps,
          "native objects are a feature when a slot of them is filled");
  t.smoke();
}

FLAGOS_CASE("abi.neg.idempotent_get_api", {.clause = "flagos_plugin_open: threads",
                                           .oracle = Oracle::exact,
                                           .isolation = Isolation::own}) {
  PluginLibrary& library = library_of(t);
  PluginProbe reference(library);
  t.status(reference.status(), ok, "flagos_plugin_open");
  const auto differs = [&](const PluginProbe& probe) {
    const auto one = slots_of(reference.plugin()), other = slots_of(probe.plugin());
    return probe.status() != ok || probe.plugin().abi_version != reference.plugin().abi_version ||
           std::strcmp(probe.plugin().name, reference.plugin().name) != 0 ||
           std::strcmp(probe.plugin().version, reference.plugin().version) != 0 ||
           !std::equal(one.begin(), one.end(), other.begin(),
                       [](const Slot& a, const Slot& b) { return a.filled == b.filled; });
  };
  std::atomic<int> different{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 4; ++k) different += differs(PluginProbe(library));
    });
  for (std::thread& thread : threads) thread.join();
  t.equal(static_cast<std::uint64_t>(different), 0, "answers that differ from the first");
  const std::string problem = reference.smoke(t.settings().device_ordinal);
  t.check(problem.empty(), problem);
}

}  // namespace flagos::conformance
