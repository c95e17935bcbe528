// Layout, texts and exceptions: what every caller relies on without saying so.
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <fstream>
#include <memory>
#include <new>
#include <thread>

#include "conformance/cases/negatives.hpp"
#include "conformance/cases/plugin_probe.hpp"
#include "conformance/cases/process.hpp"
#include "conformance/cases/structs.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;

struct GoldenSize {
  const char* name;
  std::size_t actual;
  std::size_t golden;
};
constexpr GoldenSize golden_sizes[] = {
#define FLAGOS_GOLDEN_STRUCT(type, size) {#type, sizeof(type), size},
#define FLAGOS_GOLDEN_MEMBER(type, member, offset) \
  {#type "." #member, offsetof(type, member), offset},
#include "flagos_golden_layout.inc"
#undef FLAGOS_GOLDEN_STRUCT
#undef FLAGOS_GOLDEN_MEMBER
};

constexpr flagos_status_t every_status[] = {FLAGOS_STATUS_OK,
                                            FLAGOS_STATUS_TIMEOUT,
                                            FLAGOS_STATUS_NOT_READY,
                                            FLAGOS_STATUS_INVALID_ARGUMENT,
                                            FLAGOS_STATUS_INVALID_HANDLE,
                                            FLAGOS_STATUS_INVALID_STRUCT_SIZE,
                                            FLAGOS_STATUS_BUFFER_TOO_SMALL,
                                            FLAGOS_STATUS_NOT_FOUND,
                                            FLAGOS_STATUS_NOT_PERMITTED,
                                            FLAGOS_STATUS_BAD_PROCESS,
                                            FLAGOS_STATUS_INVALID_IMAGE,
                                            FLAGOS_STATUS_COMPILE_FAILED,
                                            FLAGOS_STATUS_INVALID_GRAPH,
                                            FLAGOS_STATUS_GRAPH_MISMATCH,
                                            FLAGOS_STATUS_PLUGIN_REJECTED,
                                            FLAGOS_STATUS_OUT_OF_HOST_MEMORY,
                                            FLAGOS_STATUS_OUT_OF_DEVICE_MEMORY,
                                            FLAGOS_STATUS_OUT_OF_RESOURCES,
                                            FLAGOS_STATUS_BUSY,
                                            FLAGOS_STATUS_UNSUPPORTED,
                                            FLAGOS_STATUS_UNSUPPORTED_VERSION,
                                            FLAGOS_STATUS_DEVICE_LOST,
                                            FLAGOS_STATUS_EXECUTION_FAILED,
                                            FLAGOS_STATUS_CANCELLED,
                                            FLAGOS_STATUS_INTERNAL,
                                            FLAGOS_STATUS_PLUGIN_PROTOCOL};

// A failing call whose text can be told from that of any other number.
std::string fail_with(std::uint32_t number) {
  const std::string id = "thread-" + std::to_string(number);
  flagos_proc_t found = nullptr;
  flagos_get_proc(id.c_str(), FLAGOS_ABI_VERSION, &found);
  return id;
}

bool text_names(const std::string& id) {
  return std::string(flagos_last_error()).find(id) != std::string::npos;
}

// The largest address space that this process may have from here on.
void limit_memory_to_what_is_mapped(std::uint64_t more) {
  std::ifstream file("/proc/self/statm");
  std::uint64_t pages = 0;
  file >> pages;
  const rlim_t bytes = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE)) + more;
  const rlimit limit{bytes, RLIM_INFINITY};  // the hard limit stays: it is lifted again
  setrlimit(RLIMIT_AS, &limit);
}

flagos_status_t run_without_throwing(Context& t, Call& call) {
  try {
    return call.run();
  } catch (...) {
    t.fail("an exception left " + call.entry.name);
  }
}

// Creates until something is refused, everywhere; nothing may be thrown, and every refusal is a
// status of its class.
void create_until_refused(Context& t, World& world) {
  auto memory = world.valid<flagos_memory_desc_t>();
  memory.size_bytes = 8 << 20;
  world.expect_nothing();
  std::vector<flagos_address_t> blocks;
  flagos_status_t status = ok;
  while (status == ok && blocks.size() < 64) {
    flagos_address_t block = 0;
    status = flagos_memory_alloc(world.device(), &memory, &block);
    if (status == ok) blocks.push_back(block);
  }
  t.check(status == ok || FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_RESOURCE,
          "memory runs out with " + std::string(flagos_status_get_name(status)));
  for (const Entry& entry : entries()) {
    std::unique_ptr<Call> call;
    try {
      call = std::make_unique<Call>(world, entry);
    } catch (const std::bad_alloc&) {
      continue;  // the suite's own memory
    }
    const flagos_status_t said = run_without_throwing(t, *call);
    t.check(said != FLAGOS_STATUS_INTERNAL && said != FLAGOS_STATUS_PLUGIN_PROTOCOL,
            entry.name + " without memory: " + flagos_status_get_name(said));
  }
  for (const flagos_address_t block : blocks)
    t.ok(flagos_memory_free(world.device(), block), "free");
}

FLAGOS_HELPER("abi_no_memory") {
  return run_checks(h, [](Context& t) {
    t.smoke();
    World world(t);
    if (!sanitized()) limit_memory_to_what_is_mapped(96 << 20);
    create_until_refused(t, world);
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &unlimited);
  });
}

}  // namespace

FLAGOS_CASE("abi.layout.golden",
            {.clause = "abi/layout: the golden table of this minor", .oracle = Oracle::exact}) {
  t.check(std::size(golden_sizes) > 300,
          "the golden table has " + std::to_string(std::size(golden_sizes)) + " rows");
  for (const GoldenSize& row : golden_sizes) t.equal(row.actual, row.golden, row.name);
  // What was compiled elsewhere: the plugin's tables end at a slot of ours, and the library knows
  // our structs whole.
  const flagos_plugin_t* table = nullptr;
  t.ok(flagos_device_get_table(t.device(), &table, nullptr), "the plugin's tables");
  t.check(table->struct_size >= offsetof(flagos_plugin_t, memory_pool),
          "the root table holds the required groups");
  t.equal(table->device->group_version, 1, "version of the device group");
  flagos_version_info_t version{};
  version.struct_size = sizeof version;
  t.ok(flagos_get_version(&version), "flagos_get_version");
  t.check(FLAGOS_VERSION_MAJOR(version.abi_version) == FLAGOS_ABI_MAJOR &&
              version.abi_version >= FLAGOS_ABI_VERSION,
          "the library implements this header's version");
  t.smoke();
}

FLAGOS_CASE("abi.exc.no_throw_across",
            {.clause = "flagos_plugin.h rule 6: no exception leaves the library",
             .oracle = Oracle::code,
             .isolation = Isolation::own}) {
  // First the plugin alone, whose host memory runs out after 0, 1, 2, ... allocations.
  const PluginLibrary library(t.settings().plugin_path);
  const int most = t.settings().quick ? 20 : 60;
  for (int allowed = 0; allowed < most; ++allowed) {
    t.subcase(std::to_string(allowed) + " allocations of the host succeed");
    PluginProbe probe(library);
    t.status(probe.status(), ok, "flagos_plugin_open");
    probe.host().fail_after(allowed);
    try {
      probe.smoke(t.settings().device_ordinal);
    } catch (...) {
      t.fail("an exception crossed the boundary");
    }
    probe.host().fail_after(-1);
    const std::string problem = probe.smoke(t.settings().device_ordinal);
    t.check(problem.empty(), "with memory again: " + problem);
  }
  expect_helper(t, "abi_no_memory");
}

FLAGOS_CASE("abi.errstr.every_code",
            {.clause = "flagos_status_get_name", .oracle = Oracle::exact}) {
  std::set<std::string> names;
  for (const flagos_status_t status : every_status) {
    t.subcase("status " + std::to_string(status));
    const char* const name = flagos_status_get_name(status);
    t.check(name != nullptr && std::string(name).starts_with("FLAGOS_STATUS_") && is_utf8(name),
            "it has a name");
    t.check(std::string(name) != "FLAGOS_STATUS_UNKNOWN", "it is known");
    t.check(name == flagos_status_get_name(status), "the text is static");
    t.check(names.insert(name).second, "no other status has its name");
  }
  for (const flagos_status_t status : {-1, 3, 0x01000099, 0x7fffffff, INT32_MIN, 0x0500ffff})
    t.check(std::strcmp(flagos_status_get_name(status), "FLAGOS_STATUS_UNKNOWN") == 0,
            "status " + std::to_string(status) + " is unknown");
  t.smoke();
}

FLAGOS_CASE("abi.lasterr.thread_local", {.clause = "flagos_last_error", .oracle = Oracle::exact}) {
  t.subcase("each thread has its own");
  const std::string own = fail_with(1000);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      wrong += flagos_last_error()[0] != '\0';  // no call of this thread has failed
      for (int k = 0; k < 100; ++k) {
        const std::string id = fail_with(i * 100 + static_cast<std::uint32_t>(k) + 10'000);
        std::this_thread::yield();
        wrong += !text_names(id);
      }
    });
  for (std::thread& thread : threads) thread.join();
  t.equal(static_cast<std::uint64_t>(wrong), 0, "texts of another thread");
  t.check(text_names(own), "this thread's text is still that of its own call");

  t.subcase("succeeding calls and answers leave it");
  t.smoke();
  Stream stream(t);
  flagos_stream_synchronize(stream, 0);
  flagos_device_query_status(t.device());
  t.check(text_names(own), "the text of the last failing call");

  t.subcase("the next failing call replaces it");
  const std::string next = fail_with(2000);
  t.check(text_names(next) && !text_names(own), "the text of the new failure");

  t.subcase("it has at most 1023 bytes");
  flagos_proc_t found = nullptr;
  flagos_get_proc(std::string(100'000, 'x').c_str(), FLAGOS_ABI_VERSION, &found);
  check_error_text(t, FLAGOS_STATUS_NOT_FOUND);
}

}  // namespace flagos::conformance
