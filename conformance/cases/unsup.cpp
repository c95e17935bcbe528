// What a device does not offer: one answer everywhere, without effect; and what it says of itself fits together.
#include <cstring>

#include "conformance/cases/feature_probes.hpp"
#include "conformance/cases/graph_support.hpp"
#include "conformance/cases/negatives.hpp"
#include "conformance/cases/plugin_probe.hpp"
#include "conformance/features.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;

// Every use of what is absent: entries of absent features, and values that stand for such.
class Refusals {
 public:
  Refusals(Context& t, World& world) : t_(t), world_(world) {}

  // `around` is given each of them, as a call that returns its status.
  void each(const std::function<void(const std::string& name,
                                     const std::function<flagos_status_t()>& use)>& around) {
    for (const Entry& entry : entries()) {
      if (entry.needs == FLAGOS_FEATURE_COUNT || world_.has(entry.needs)) continue;
      Call call(world_, entry);
      if (!applies(call)) continue;
      around(entry.name, [&] {
        const flagos_status_t status = call.run();
        t_.check(call.uncleared().empty(),
                 "out parameters are cleared, it left " + call.uncleared());
        return status;
      });
    }
    memory(around);
    launches(around);
    formats(around);
  }

 private:
  template <typename Around>
  void memory(const Around& around) {
    for (const auto& [feature, kind] :
         {std::pair{FLAGOS_FEATURE_PINNED_MEMORY, FLAGOS_MEMORY_KIND_PINNED},
          std::pair{FLAGOS_FEATURE_MANAGED_MEMORY, FLAGOS_MEMORY_KIND_MANAGED}}) {
      if (world_.has(feature)) continue;
      around("memory of kind " + std::to_string(kind), [&, kind = kind] {
        auto desc = world_.valid<flagos_memory_desc_t>();
        desc.kind = kind;
        flagos_address_t address = 1;
        const flagos_status_t status = flagos_memory_alloc(world_.device(), &desc, &address);
        t_.equal(address, 0, "the address is cleared");
        return status;
      });
    }
    if (!world_.has(FLAGOS_FEATURE_WIDE_FILL))
      around("a fill of 16 bytes", [&] {
        const std::uint64_t pattern[2] = {1, 2};
        return flagos_memory_fill(world_.stream(), world_.target(), pattern, 16, 64);
      });
    if (!world_.has(FLAGOS_FEATURE_EXPORT_MEMORY))
      around("exportable memory", [&] {
        auto desc = world_.valid<flagos_memory_desc_t>();
        desc.flags |= FLAGOS_MEMORY_FLAG_EXPORTABLE;
        flagos_address_t address = 1;
        return flagos_memory_alloc(world_.device(), &desc, &address);
      });
  }
  template <typename Around>
  void launches(const Around& around) {
    for (const auto& [capability, flags] :
         {std::pair{std::uint64_t{FLAGOS_DEVICE_CAPABILITY_COOPERATIVE_LAUNCH},
                    std::uint32_t{FLAGOS_LAUNCH_FLAG_COOPERATIVE}},
          std::pair{std::uint64_t{FLAGOS_DEVICE_CAPABILITY_CLUSTER_LAUNCH},
                    FLAGOS_LAUNCH_CLUSTER(1, 1, 1)}}) {
      if ((t_.info().capabilities & capability) != 0 || world_.kernel() == nullptr) continue;
      around("a launch with flags " + std::to_string(flags), [&, flags = flags] {
        auto desc = world_.valid<flagos_launch_desc_t>();
        desc.flags = flags;
        return flagos_kernel_launch(world_.stream(), world_.kernel(), &desc);
      });
    }
  }
  // What nobody reads, and formats that are read and not compiled.
  template <typename Around>
  void formats(const Around& around) {
    const std::string data(64, '?');
    flagos_module_desc_t desc{};
    desc.struct_size = sizeof desc;
    desc.data = data.data();
    desc.size_bytes = data.size();
    desc.format = "flagos.no-such-format";
    flagos_module_t* module = nullptr;
    around("a format that nobody knows",
           [&] { return flagos_module_load(world_.device(), &desc, &module); });
  }

  Context& t_;
  World& world_;
};

}  // namespace

FLAGOS_CASE("unsup.code", {.clause = "FLAGOS_SUPPORT_ABSENT: UNSUPPORTED, and a sentence",
                           .oracle = Oracle::code}) {
  World world(t);
  Refusals(t, world).each([&](const std::string& name, const auto& use) {
    t.subcase(name);
    t.status(use(), FLAGOS_STATUS_UNSUPPORTED, "a use of what the device does not offer");
    check_error_text(t, FLAGOS_STATUS_UNSUPPORTED);
    t.check(std::strlen(flagos_last_error()) != 0, "the refusal has a text");
  });
  t.status(world.close(), ok, "the objects can be destroyed");
  t.smoke();
}

FLAGOS_CASE("unsup.no_side_effect",
            {.clause = "flagos.h: Failure; a refused call has no other effect",
             .oracle = Oracle::exact}) {
  World world(t);
  Refusals(t, world).each([&](const std::string& name, const auto& use) {
    t.subcase(name);
    const auto before = world.snapshot();
    use();
    t.check(world.snapshot() == before, "nothing has changed");
    // The stream is as good as before: a refusal poisons nothing.
    t.ok(flagos_stream_synchronize(world.stream(), patience_ns), "wait for the stream");
  });
  t.status(world.close(), ok, "the objects can be destroyed");
  t.smoke();
}

FLAGOS_CASE("unsup.partial_feature",
            {.clause = "flagos_device_get_feature: features that rest on others",
             .oracle = Oracle::code}) {
  constexpr std::pair<flagos_feature_t, flagos_feature_t> rests_on[] = {
      {FLAGOS_FEATURE_CAPTURE, FLAGOS_FEATURE_GRAPH},
      {FLAGOS_FEATURE_PREFETCH, FLAGOS_FEATURE_MANAGED_MEMORY},
  };
  for (const auto& [one, other] : rests_on) {
    const std::string what =
        std::string(feature_name(one)) + " without " + std::string(feature_name(other));
    t.check(!t.has(one) || t.has(other), what);
  }
  // Formats say the same as the features.
  std::uint32_t count = 0, compiled = 0, loaded = 0;
  t.ok(flagos_module_get_format_count(t.device(), &count), "count the formats");
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_format_info_t format{};
    format.struct_size = sizeof format;
    t.ok(flagos_module_get_format(t.device(), i, &format), "describe a format");
    compiled += (format.flags & FLAGOS_FORMAT_FLAG_COMPILE) != 0;
    loaded += (format.flags & FLAGOS_FORMAT_FLAG_LOAD) != 0;
  }
  t.check(!t.has(FLAGOS_FEATURE_COMPILE) || compiled > 0, "who compiles names a format for it");
  t.check(compiled == 0 || t.has(FLAGOS_FEATURE_COMPILE),
          "a format is compiled where that is a feature");
  t.check(loaded + compiled > 0, "kernels come to the device in some way");
  std::uint32_t operators = 0;
  if (t.has(FLAGOS_FEATURE_OPERATORS))
    t.ok(flagos_operator_get_count(t.device(), &operators), "count the operators");
  t.check(!t.has(FLAGOS_FEATURE_OPERATORS) || operators > 0, "who offers operators has one");
  t.smoke();
}

FLAGOS_CASE("unsup.query_consistent",
            {.clause = "flagos_device_get_feature: a query says no where the call says no",
             .oracle = Oracle::code}) {
  World world(t);
  for (const Entry& entry : entries()) {
    if (entry.needs == FLAGOS_FEATURE_COUNT) continue;
    Call call(world, entry);
    if (!applies(call)) continue;
    t.subcase(entry.name);
    const flagos_status_t status = call.run();
    // Where it is there, single calls may still be refused: by this memory, this type, this peer.
    const bool may_refuse = entry.valid_statuses.contains(FLAGOS_STATUS_UNSUPPORTED);
    t.check(world.has(entry.needs) ? may_refuse || status != FLAGOS_STATUS_UNSUPPORTED
                                   : status == FLAGOS_STATUS_UNSUPPORTED,
            "the feature is " + std::string(support_name(t.support(entry.needs))) +
                ", the call says " + flagos_status_get_name(status));
  }
  if (world.has(FLAGOS_FEATURE_COLLECTIVE)) {
    const auto desc = world.valid<flagos_collective_desc_t>();
    flagos_collective_support_t support{};
    support.struct_size = sizeof support;
    t.ok(flagos_collective_query(world.device(), FLAGOS_COLLECTIVE_OPERATION_ALL_REDUCE, desc.dtype,
                                 desc.reduction, &support),
         "ask for all_reduce");
    const flagos_status_t status =
        flagos_collective_all_reduce(world.communicator(), world.stream(), &desc);
    const bool runs = (support.flags & FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS) != 0;
    t.check(runs == (status == ok), "all_reduce says the same as its query");
  }
  t.status(world.close(), ok, "the objects can be destroyed");
  t.smoke();
}

FLAGOS_CASE("unsup.emulated_flag",
            {.clause = "FLAGOS_SUPPORT_NATIVE: the plugin's own; FLAGOS_SUPPORT_EMULATED: core's",
             .level = Level::full,
             .oracle = Oracle::code,
             .isolation = Isolation::own}) {
  const PluginLibrary library(t.settings().plugin_path);
  PluginProbe probe(library);
  t.status(probe.status(), ok, "flagos_plugin_open");
  const auto slots = slots_of(probe.plugin());
  constexpr struct {
    flagos_feature_t feature;
    const char *group, *slot;
  } table[] = {
      {FLAGOS_FEATURE_COPY_2D, "memory", "copy_2d"},
      {FLAGOS_FEATURE_MEMORY_UPDATE, "memory", "update"},
      {FLAGOS_FEATURE_HOST_REGISTER, "memory", "host_register"},
      {FLAGOS_FEATURE_PREFETCH, "memory", "prefetch"},
      {FLAGOS_FEATURE_PEER_COPY, "memory", "copy_peer"},
      {FLAGOS_FEATURE_HOST_CALLBACK, "stream", "launch_host"},
      {FLAGOS_FEATURE_COMPILE, "module", "compile"},
      {FLAGOS_FEATURE_PREPARED_LAUNCH, "kernel", "prepare"},
      {FLAGOS_FEATURE_MEMORY_POOL, "memory_pool", "create"},
      {FLAGOS_FEATURE_TIMELINE, "timeline", "create"},
      {FLAGOS_FEATURE_PROFILING, "profiling", "enable"},
      {FLAGOS_FEATURE_OPERATORS, "operators", "run"},
      {FLAGOS_FEATURE_COLLECTIVE, "collective", "query"},
  };
  for (const auto& row : table) {
    t.subcase(std::string(feature_name(row.feature)));
    const bool filled = slot_filled(slots, row.group, row.slot);
    const bool native = t.support(row.feature) == FLAGOS_SUPPORT_NATIVE;
    t.check(filled == native, std::string(row.group) + "." + row.slot +
                                  (filled ? " is filled" : " is not filled") + ", the feature is " +
                                  std::string(support_name(t.support(row.feature))));
  }
  t.smoke();
}

FLAGOS_CASE("unsup.downgrade_level",
            {.clause = "flagos_plugin.h: the six required groups are enough",
             .isolation = Isolation::own}) {
  const PluginLibrary library(t.settings().plugin_path);
  PluginProbe probe(library);
  t.status(probe.status(), ok, "flagos_plugin_open");
  for (const Slot& slot : slots_of(probe.plugin()))
    if (slot.required)
      t.check(slot.filled, std::string(slot.group) + "." + slot.name + " is filled");
  // Copies, fills and events with nothing optional called.
  const std::string problem = probe.smoke(t.settings().device_ordinal);
  t.check(problem.empty(), problem);
  t.smoke();
}

FLAGOS_CASE("unsup.combination", {.clause = "optional features, two at a time, behind each other",
                                  .level = Level::full,
                                  .oracle = Oracle::exact,
                                  .isolation = Isolation::own,
                                  .seconds = 300}) {
  t.smoke();
  std::vector<const FeatureProbe*> there;
  for (const FeatureProbe& probe : feature_probes())
    if (t.has(probe.feature)) there.push_back(&probe);
  // All pairs, in both orders; a quick run takes every seventh.
  std::uint32_t number = 0;
  for (const FeatureProbe* const first : there) {
    for (const FeatureProbe* const second : there) {
      if (first == second || (t.settings().quick && number++ % 7 != 0)) continue;
      t.subcase(std::string(first->name) + ", then " + second->name);
      World world(t);
      first->run(t, world);
      second->run(t, world);
      t.status(world.close(), ok, "the objects can be destroyed");
    }
  }
  t.smoke();
}

}  // namespace flagos::conformance
