// Plugins as a whole: those that do nothing, lie, crash or hang, and those that are different and right.
#include <csignal>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <random>
#include <thread>

#include "conformance/mutants/catalogue.hpp"
#include "conformance/mutants/interposer.hpp"

namespace flagos::conformance::mutants {
namespace {

std::mt19937_64& random_numbers() {
  thread_local std::mt19937_64 numbers(std::random_device{}());
  return numbers;
}

// ---- null: makes objects and answers questions, and no work is done ----

bool does_no_work(const Call& call) {
  return call.kind == Kind::create || call.kind == Kind::destroy || call.kind == Kind::query;
}

// ---- liar: the right codes, and other bytes ----

flagos_status_t lying_fill(flagos_plugin_stream_t* stream, flagos_address_t target,
                           std::uint64_t size) {
  const auto noise = static_cast<std::uint8_t>(random_numbers()());
  return next<slot::memory_fill>(stream, target, static_cast<const void*>(&noise), 1u, size);
}

void lie(Tables& tables) {
  tables.memory.copy = [](flagos_plugin_stream_t* stream, flagos_address_t target, flagos_address_t,
                          std::uint64_t size) { return lying_fill(stream, target, size); };
  tables.memory.fill = [](flagos_plugin_stream_t* stream, flagos_address_t target, const void*,
                          std::uint32_t,
                          std::uint64_t size) { return lying_fill(stream, target, size); };
  tables.memory.update = [](flagos_plugin_stream_t* stream, flagos_address_t target, const void*,
                            std::uint64_t size) { return lying_fill(stream, target, size); };
  tables.memory.copy_2d = [](flagos_plugin_stream_t* stream, const flagos_copy_2d_desc_t* desc) {
    return lying_fill(stream, desc->target, desc->width_bytes);
  };
  tables.memory.copy_peer = [](flagos_plugin_stream_t* stream, flagos_address_t target,
                               flagos_plugin_device_t*, flagos_address_t, flagos_plugin_device_t*,
                               std::uint64_t size) { return lying_fill(stream, target, size); };
  tables.kernel.launch = &Entry<slot::kernel_launch>::skip;
  tables.kernel.launch_prepared = &Entry<slot::kernel_launch_prepared>::skip;
  tables.graph.launch = &Entry<slot::graph_launch>::skip;
}

// ---- the n-th call ----

std::atomic<std::uint64_t> calls{0};

bool is_the_one() { return ++calls == mutant_number(); }

bool crashes(const Call&) {
  if (is_the_one()) std::raise(SIGSEGV);
  return true;
}

bool hangs(const Call&) {
  if (is_the_one()) {
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
  }
  return true;
}

// ---- slow: work is seen to be complete up to 100 ms later ----

// Mostly a little: the suite waits a hundred thousand times.
void sees_late(const Call& call, flagos_status_t) {
  if (call.kind != Kind::wait) return;
  const double share = std::uniform_real_distribution<double>(0, 1)(random_numbers());
  std::this_thread::sleep_for(
      std::chrono::microseconds(static_cast<int>(100'000 * std::pow(share, 64))));
}

// ---- min-caps: what is required, and nothing else ----

// Compiling is not required, so no format may say that it can be compiled.
flagos_status_t format_to_load(flagos_plugin_device_t* device, std::uint32_t index,
                               flagos_format_info_t* out_format) {
  const flagos_status_t status = next<slot::module_get_format>(device, index, out_format);
  if (status == FLAGOS_STATUS_OK) out_format->flags &= ~FLAGOS_FORMAT_FLAG_COMPILE;
  return status;
}

void only_required(Tables& tables) {
  const Tables all = tables;
  tables = {};
  const auto keep = [](auto& table, const auto& from, auto... members) {
    table.struct_size = sizeof(table);
    table.group_version = from.group_version;
    ((table.*members = from.*members), ...);
  };
  keep(tables.device, all.device, &flagos_device_table_t::get_count,
       &flagos_device_table_t::get_info, &flagos_device_table_t::open,
       &flagos_device_table_t::close, &flagos_device_table_t::query_memory);
  keep(tables.memory, all.memory, &flagos_memory_table_t::alloc, &flagos_memory_table_t::free,
       &flagos_memory_table_t::copy, &flagos_memory_table_t::fill);
  keep(tables.stream, all.stream, &flagos_stream_table_t::create, &flagos_stream_table_t::destroy,
       &flagos_stream_table_t::synchronize, &flagos_stream_table_t::wait_event);
  keep(tables.event, all.event, &flagos_event_table_t::create, &flagos_event_table_t::destroy,
       &flagos_event_table_t::record, &flagos_event_table_t::synchronize,
       &flagos_event_table_t::get_elapsed);
  keep(tables.module, all.module, &flagos_module_table_t::get_format, &flagos_module_table_t::load,
       &flagos_module_table_t::unload, &flagos_module_table_t::get_kernel);
  tables.module.get_format = &format_to_load;
  keep(tables.kernel, all.kernel, &flagos_kernel_table_t::get_info,
       &flagos_kernel_table_t::get_parameter, &flagos_kernel_table_t::launch);
}

Mutant baseline(const char* id, const char* what) {
  Mutant mutant;
  mutant.id = id;
  mutant.kind = Class::baseline;
  mutant.bug = what;
  return mutant;
}

}  // namespace

void add_baselines(std::vector<Mutant>& list) {
  list.push_back(baseline("none", "the wrapped plugin as it is: every case must pass"));
  list.push_back(
      baseline("slow", "work is seen to be complete up to 100 ms later: every case must pass"));
  list.back().hooks.after = &sees_late;
  list.push_back(baseline("min-caps", "required slots only: every case of level core must pass"));
  list.back().prepare = &only_required;
  list.push_back(baseline(
      "max-caps",
      "all that the wrapped plugin has, through our tables: every case of level full must pass"));
  list.back().hooks.before = [](const Call&) { return true; };
  list.push_back(baseline("null", "objects are made and questions answered, and no work is done"));
  list.back().hooks.before = &does_no_work;
  list.push_back(baseline("liar", "the right answers, and other bytes"));
  list.back().prepare = &lie;
  list.push_back(baseline("crash@N", "the N-th call crashes"));
  list.back().hooks.before = &crashes;
  list.push_back(baseline("hang@N", "the N-th call never returns"));
  list.back().hooks.before = &hangs;
}

}  // namespace flagos::conformance::mutants
