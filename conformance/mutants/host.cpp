#include "conformance/mutants/host.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "conformance/mutants/catalogue.hpp"
#include "conformance/mutants/interposer.hpp"

namespace flagos::conformance::mutants {
namespace {

thread_local int silent = 0;

}  // namespace

NoErrorText::NoErrorText() { ++silent; }
NoErrorText::~NoErrorText() { --silent; }

struct WrappedHost {
  flagos_host_t table{};
  const flagos_host_t* core = nullptr;

  static WrappedHost& of(flagos_host_context_t* context) {
    return *reinterpret_cast<WrappedHost*>(context);
  }

  static void set_error(flagos_host_context_t* context, flagos_status_t status, const char* text) {
    const flagos_host_t& core = *of(context).core;
    if (silent == 0) core.set_error(core.context, status, text);
  }
  static void log(flagos_host_context_t* context, flagos_log_level_t level, const char* text) {
    const flagos_host_t& core = *of(context).core;
    core.log(core.context, level, text);
  }
  static void* allocate(flagos_host_context_t* context, std::uint64_t size,
                        std::uint64_t alignment) {
    const flagos_host_t& core = *of(context).core;
    return core.allocate(core.context, size, alignment);
  }
  static void deallocate(flagos_host_context_t* context, void* block) {
    const flagos_host_t& core = *of(context).core;
    core.deallocate(core.context, block);
  }
  static const char* get_config(flagos_host_context_t* context, const char* name) {
    const flagos_host_t& core = *of(context).core;
    return core.get_config(core.context, name);
  }
  static void report_device_error(flagos_host_context_t* context, flagos_plugin_device_t* device,
                                  flagos_status_t status, const char* text) {
    const flagos_host_t& core = *of(context).core;
    if (!hides_loss) core.report_device_error(core.context, device, status, text);
  }
  static void emit(flagos_host_context_t* context, flagos_plugin_device_t* device,
                   const flagos_record_t* record) {
    const flagos_host_t& core = *of(context).core;
    if (emit_record == nullptr) return core.emit_record(core.context, device, record);
    emit_record(core, device, *record);
  }
  static std::uint64_t now_ns(flagos_host_context_t* context) {
    const flagos_host_t& core = *of(context).core;
    return core.now_ns(core.context);
  }
};

void WrappedHostDeleter::operator()(WrappedHost* host) const { delete host; }

WrappedHostPointer wrap_host(const flagos_host_t& core) {
  WrappedHostPointer made(new WrappedHost);
  flagos_host_t& table = made->table;
  std::memcpy(&table, &core, std::min<std::size_t>(core.struct_size, sizeof(table)));
  made->core = &core;
  table.context = reinterpret_cast<flagos_host_context_t*>(made.get());
  table.set_error = &WrappedHost::set_error;
  table.log = &WrappedHost::log;
  table.allocate = &WrappedHost::allocate;
  table.deallocate = &WrappedHost::deallocate;
  table.get_config = &WrappedHost::get_config;
  table.report_device_error = &WrappedHost::report_device_error;
  table.emit_record = &WrappedHost::emit;
  table.now_ns = &WrappedHost::now_ns;
  return made;
}

const flagos_host_t* table_of(const WrappedHost& host) { return &host.table; }

// ---- the mutants ----

namespace {

void pass_changed(const flagos_host_t& core, flagos_plugin_device_t* device,
                  const flagos_record_t& record) {
  flagos_record_t copy = record;
  change(&copy);
  core.emit_record(core.context, device, &copy);
}

void add(std::vector<Mutant>& list, const char* name, const char* bug, Change apply,
         void (*prepare)(Tables&)) {
  Mutant mutant;
  mutant.id = std::string("host.emit_record/") + name;
  mutant.entry = "host.emit_record";
  mutant.bug = bug;
  mutant.slot = slot::profiling_enable::index;  // whoever profiles sees it
  mutant.change = apply;
  mutant.prepare = prepare;
  mutant.wraps_host = true;
  list.push_back(std::move(mutant));
}

void change_records(Tables&) { emit_record = &pass_changed; }

#define RECORD_CHANGE(name, ...)                                       \
  add(                                                                 \
      list, name, "records of finished operations are changed: " name, \
      [](void* record) {                                               \
        auto& r = *static_cast<flagos_record_t*>(record);              \
        __VA_ARGS__;                                                   \
      },                                                               \
      &change_records)

}  // namespace

void add_host_mutants(std::vector<Mutant>& list) {
  add(list, "skip", "no operation is recorded", nullptr, [](Tables&) {
    emit_record = [](const flagos_host_t&, flagos_plugin_device_t*, const flagos_record_t&) {};
  });
  add(list, "skip-7th", "every seventh operation is not recorded", nullptr, [](Tables&) {
    emit_record = [](const flagos_host_t& core, flagos_plugin_device_t* device,
                     const flagos_record_t& record) {
      static std::atomic<unsigned> calls{0};
      if (++calls % 7 != 0) core.emit_record(core.context, device, &record);
    };
  });
  add(list, "twice", "operations are recorded twice", nullptr, [](Tables&) {
    emit_record = [](const flagos_host_t& core, flagos_plugin_device_t* device,
                     const flagos_record_t& record) {
      core.emit_record(core.context, device, &record);
      core.emit_record(core.context, device, &record);
    };
  });
  RECORD_CHANGE("other-kind", r.kind = r.kind == FLAGOS_RECORD_KIND_COPY ? FLAGOS_RECORD_KIND_KERNEL
                                                                         : FLAGOS_RECORD_KIND_COPY);
  RECORD_CHANGE("one-stream", r.stream_id = 1);
  RECORD_CHANGE("no-correlation", r.correlation_id = 0);
  RECORD_CHANGE("swap-start-end", std::swap(r.started_ns, r.ended_ns));
  RECORD_CHANGE("no-queued", r.queued_ns = 0);
  RECORD_CHANGE("submitted-late", r.submitted_ns = r.ended_ns + 1);
  RECORD_CHANGE("no-end", r.ended_ns = 0);
  RECORD_CHANGE("other-clock", r.started_ns += 3'600'000'000'000u;
                r.ended_ns += 3'600'000'000'000u);
  RECORD_CHANGE("size+1", r.size_bytes += 1);
  RECORD_CHANGE("no-size", r.size_bytes = 0);
  RECORD_CHANGE("no-name", r.name[0] = '\0');
}

}  // namespace flagos::conformance::mutants
