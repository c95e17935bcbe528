// Devices are counted and described the same way every time, and what they say of themselves makes
// sense.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <thread>

#include "conformance/cases/entries.hpp"
#include "conformance/cases/negatives.hpp"
#include "conformance/cases/process.hpp"
#include "conformance/results.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;

std::uint32_t count_of(flagos_runtime_t* runtime) {
  std::uint32_t count = UINT32_MAX;
  return flagos_device_get_count(runtime, &count) == ok ? count : UINT32_MAX;
}

flagos_device_info_t describe(Context& t, flagos_runtime_t* runtime, std::uint32_t index) {
  flagos_device_info_t info;
  std::memset(&info, 0, sizeof info);
  info.struct_size = sizeof info;
  t.ok(flagos_device_describe(runtime, index, &info), "describe device " + std::to_string(index));
  return info;
}

// A runtime with the plugin under test only.
flagos_runtime_t* make_runtime(Context& t) {
  flagos_runtime_t* runtime = nullptr;
  const flagos_runtime_desc_t desc{sizeof desc, FLAGOS_ABI_VERSION, nullptr,
                                   FLAGOS_RUNTIME_FLAG_NO_SEARCH, nullptr};
  t.ok(flagos_runtime_create(&desc, &runtime), "create a runtime");
  t.ok(flagos_runtime_add_plugin(runtime, t.settings().plugin_path.c_str()), "load the plugin");
  return runtime;
}

std::string hexadecimal(const void* data, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) {
    char two[3];
    std::snprintf(two, sizeof two, "%02x", static_cast<const std::uint8_t*>(data)[i]);
    text += two;
  }
  return text;
}

// Prints what another process must see as well.
FLAGOS_HELPER("dev_describe") {
  return run_checks(h, [](Context& t) {
    const auto info = describe(t, t.runtime(), t.info().index);
    std::printf("<%s>", hexadecimal(&info, sizeof info).c_str());
  });
}

// A field of text: ends within its room and is UTF-8.
void check_text(Context& t, const char* field, std::size_t size, bool may_be_empty,
                const std::string& name) {
  const std::size_t length = strnlen(field, size);
  t.check(length < size, name + " ends with a NUL in its " + std::to_string(size) + " bytes");
  t.check(may_be_empty || length > 0, name + " is not empty");
  t.check(is_utf8(field), name + " is UTF-8");
}

}  // namespace

FLAGOS_CASE("dev.count.stable", {.clause = "flagos_device_get_count"}) {
  const std::uint32_t count = count_of(t.runtime());
  t.check(count > t.settings().device_ordinal && count != UINT32_MAX,
          "the device under test is among the devices");
  for (int i = 0; i < 1000; ++i)
    t.equal(count_of(t.runtime()), count, "count of call " + std::to_string(i));
  std::atomic<int> different{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 250; ++k) different += count_of(t.runtime()) != count;
    });
  for (std::thread& thread : threads) thread.join();
  t.equal(static_cast<std::uint64_t>(different), 0, "threads that counted otherwise");
  for (int i = 0; i < 3; ++i) {
    flagos_runtime_t* const another = make_runtime(t);
    t.equal(count_of(another), count, "count in a new runtime");
    t.ok(flagos_runtime_destroy(another), "destroy it");
  }
  t.smoke();
}

FLAGOS_CASE("dev.count.zero_ok",
            {.clause = "flagos_device_get_count: zero is not an error", .oracle = Oracle::code}) {
  flagos_runtime_t* runtime = nullptr;
  const flagos_runtime_desc_t desc{sizeof desc, FLAGOS_ABI_VERSION, nullptr,
                                   FLAGOS_RUNTIME_FLAG_NO_SEARCH, nullptr};
  t.ok(flagos_runtime_create(&desc, &runtime), "create a runtime without plugins");
  t.equal(count_of(runtime), 0, "devices");
  flagos_device_info_t info{};
  info.struct_size = sizeof info;
  t.status(flagos_device_describe(runtime, 0, &info), FLAGOS_STATUS_NOT_FOUND,
           "describe the first of no devices");
  flagos_device_t* device = nullptr;
  t.status(flagos_device_open(runtime, 0, &device), FLAGOS_STATUS_NOT_FOUND,
           "open the first of no devices");
  std::uint32_t index = 0;
  t.status(flagos_device_find(runtime, t.info().id, &index), FLAGOS_STATUS_NOT_FOUND,
           "find a device of a plugin that is not loaded here");
  t.ok(flagos_runtime_add_plugin(runtime, t.settings().plugin_path.c_str()), "load the plugin now");
  t.check(count_of(runtime) > 0, "its devices are there");
  t.ok(flagos_runtime_destroy(runtime), "destroy the runtime");
  t.smoke();
}

FLAGOS_CASE("dev.index.invalid",
            {.clause = "flagos_device_open: NOT_FOUND", .oracle = Oracle::code}) {
  const std::uint32_t count = count_of(t.runtime());
  const auto random = static_cast<std::uint32_t>(count + 1 + t.random_below(1u << 30));
  for (const std::uint32_t index : {count, count + 1, UINT32_MAX, 0x7fffffffu, random}) {
    t.subcase("index " + std::to_string(index));
    flagos_device_info_t info{};
    info.struct_size = sizeof info;
    info.memory_bytes = 1;
    t.status(flagos_device_describe(t.runtime(), index, &info), FLAGOS_STATUS_NOT_FOUND,
             "describe");
    t.equal(info.memory_bytes, 0, "the description is cleared");
    auto* device = reinterpret_cast<flagos_device_t*>(1);
    t.status(flagos_device_open(t.runtime(), index, &device), FLAGOS_STATUS_NOT_FOUND, "open");
    t.check(device == nullptr, "the handle is cleared");
  }
  t.smoke();
}

FLAGOS_CASE("dev.prop.all_queries",
            {.clause = "flagos.h: every query of a device", .oracle = Oracle::code}) {
  World world(t);
  // Whatever the description calls a query: it only reads, and answers or says that it cannot.
  for (const Entry& entry : entries()) {
    const bool query = entry.name.find("_get_") != std::string::npos ||
                       entry.name.find("_query") != std::string::npos ||
                       entry.name.ends_with("_describe") || entry.name.ends_with("_find");
    if (!query) continue;
    t.subcase(entry.name);
    Call call(world, entry);
    if (!applies(call)) continue;
    const auto before = world.snapshot();
    const auto expected = expected_when_valid(world, entry);
    const flagos_status_t status = call.run();
    t.check(expected.contains(status), "expected " + names_of(expected) + ", got " +
                                           flagos_status_get_name(status) + ": " +
                                           flagos_last_error());
    t.check(world.snapshot() == before, "a query changes nothing");
  }
  for (flagos_feature_t feature = 0; feature < FLAGOS_FEATURE_COUNT; ++feature) {
    t.subcase("feature " + std::to_string(feature));
    flagos_support_t support = -1;
    t.ok(flagos_device_get_feature(world.device(), feature, &support), "flagos_device_get_feature");
    t.check(support >= FLAGOS_SUPPORT_ABSENT && support <= FLAGOS_SUPPORT_NATIVE,
            "absent, emulated or native");
  }
  t.smoke();
}

// Queries whose answer has a size of its own: too little room is told, and nothing is written.
FLAGOS_CASE("dev.prop.short_buffer",
            {.clause = "BUFFER_TOO_SMALL: the size is told, the buffer untouched",
             .oracle = Oracle::code}) {
  World world(t);
  using Query = std::function<flagos_status_t(std::uint64_t, void*, std::uint64_t*)>;
  const std::vector<std::pair<const char*, Query>> queries{
      {"flagos_module_get_log",
       [&](auto room, void* to, auto* size) {
         return flagos_module_get_log(world.module(), room, static_cast<char*>(to), size);
       }},
      {"flagos_module_get_binary",
       [&](auto room, void* to, auto* size) {
         return flagos_module_get_binary(world.module(), room, to, size);
       }},
      {"flagos_graph_dump",
       [&](auto room, void* to, auto* size) {
         return flagos_graph_dump(world.graph(), room, static_cast<char*>(to), size);
       }},
      {"flagos_graph_get_nodes", [&](auto room, void* to, auto* size) {
         return flagos_graph_get_nodes(world.graph(), room, static_cast<std::uint64_t*>(to), size);
       }}};
  for (const auto& [name, query] : queries) {
    t.subcase(name);
    std::uint64_t needed = 0;
    const flagos_status_t first = query(0, nullptr, &needed);
    if (first == FLAGOS_STATUS_UNSUPPORTED) continue;
    t.ok(first, "the question for the size");
    t.check(needed > 0, "the size that is needed is told");
    std::vector<std::uint64_t> room(needed + 8, 0x5a5a5a5a5a5a5a5au);
    const auto untouched = room;
    std::uint64_t again = 0;
    if (needed > 1)
      t.status(query(needed - 1, room.data(), &again), FLAGOS_STATUS_BUFFER_TOO_SMALL, "one short");
    t.check(needed == 1 || again == needed, "the same size is told again");
    t.check(room == untouched, "the buffer is untouched");
    t.ok(query(needed, room.data(), &again), "exactly enough");
    t.equal(again, needed, "size of the answer");
  }
  t.smoke();
}

FLAGOS_CASE("dev.prop.stable", {.clause = "flagos_device_describe: properties never change",
                                .oracle = Oracle::exact,
                                .isolation = Isolation::own}) {
  const std::uint32_t index = t.info().index;
  const auto before = describe(t, t.runtime(), index);
  t.smoke();
  const auto after = describe(t, t.runtime(), index);
  t.check(std::memcmp(&before, &after, sizeof before) == 0,
          "the description stays the same over use");
  flagos_device_info_t open;
  std::memset(&open, 0, sizeof open);
  open.struct_size = sizeof open;
  t.ok(flagos_device_get_info(t.device(), &open), "describe the open device");
  t.check(std::memcmp(&before, &open, sizeof before) == 0,
          "an open device describes itself the same way");
  std::string text;
  t.equal(static_cast<std::uint64_t>(t.run_helper("dev_describe", {}, 60, &text)), 0,
          "exit code of the other process: " + text);
  // Text between the brackets; what sanitizers and loggers print stands around it.
  const std::size_t start = text.find('<'), end = text.find('>', start);
  t.check(start != std::string::npos && end != std::string::npos,
          "the other process described the device: " + text);
  t.check(text.substr(start + 1, end - start - 1) == hexadecimal(&before, sizeof before),
          "the description is the same in another process");
}

FLAGOS_CASE("dev.prop.uuid_unique",
            {.clause = "flagos_device_info_t::uuid", .oracle = Oracle::exact}) {
  keep_digests_private(t);  // subcases are named after devices
  std::set<std::string> seen;
  const std::uint32_t count = count_of(t.runtime());
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto info = describe(t, t.runtime(), i);
    t.subcase(info.id);
    const std::string uuid = hexadecimal(info.uuid, sizeof info.uuid);
    t.check(uuid != std::string(32, '0'), "the UUID is not all zero");
    t.check(seen.insert(uuid).second, "no other device has the UUID " + uuid);
  }
  flagos_runtime_t* const another = make_runtime(t);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto info = describe(t, another, i);
    t.check(seen.contains(hexadecimal(info.uuid, sizeof info.uuid)),
            "a new runtime sees the same UUIDs");
  }
  t.ok(flagos_runtime_destroy(another), "destroy the second runtime");
  t.smoke();
}

FLAGOS_CASE("dev.prop.pci_or_path", {.clause = "flagos_device_info_t::bus_id",
                                     .level = Level::full,
                                     .oracle = Oracle::exact}) {
  const std::string bus = t.info().bus_id;
  for (const char c : bus)
    t.check(std::isxdigit(static_cast<unsigned char>(c)) || c == ':' || c == '.',
            "a bus id such as 0000:3b:00.0, found " + bus);
  t.check(bus.empty() || bus.find(':') != std::string::npos,
          "a bus id such as 0000:3b:00.0, found " + bus);
  t.smoke();
}

FLAGOS_CASE("dev.prop.limits_consistent",
            {.clause = "flagos_device_info_t", .oracle = Oracle::exact}) {
  const flagos_device_info_t& info = t.info();
  std::uint64_t threads = 1;
  for (int i = 0; i < 3; ++i) {
    t.check(info.max_grid[i] >= 1 && info.max_block[i] >= 1, "every dimension allows at least 1");
    threads = std::min<std::uint64_t>(threads * info.max_block[i], UINT32_MAX);
  }
  t.check(info.max_block_threads >= 1 && info.max_block_threads <= threads,
          "threads of a block are at most the product of its dimensions");
  t.check(info.max_allocation_bytes >= 1 && info.max_allocation_bytes <= info.memory_bytes,
          "the largest allocation is at most the memory");
  t.check(info.allocation_alignment >= 256 &&
              (info.allocation_alignment & (info.allocation_alignment - 1)) == 0,
          "the alignment is a power of two of at least 256");
  t.check(info.compute_units >= 1, "there is a compute unit");
  t.check(info.subgroup_size >= 1, "there is a thread in a subgroup");
  t.check(info.max_argument_bytes >= 4096, "an argument block of 4096 bytes is taken");
  t.check(info.priority_high <= 0 && 0 <= info.priority_low, "priority 0 is in the range");
  t.check(info.type >= FLAGOS_DEVICE_TYPE_OTHER && info.type <= FLAGOS_DEVICE_TYPE_NPU,
          "the type is a FLAGOS_DEVICE_TYPE_*");
  t.check(info.schedule_class >= FLAGOS_SCHEDULE_CLASS_SERIAL &&
              info.schedule_class <= FLAGOS_SCHEDULE_CLASS_TILE,
          "the schedule class is known");
  t.check((info.capabilities & ~std::uint64_t{0xff}) == 0,
          "no capability that the header does not know");
  t.check(info.dlpack_device_type >= 1, "DLPack has the type of device, or it is the extension");
  t.smoke();
}

FLAGOS_CASE("dev.prop.string_nul",
            {.clause = "flagos.h: texts in structs", .oracle = Oracle::exact}) {
  const auto info = describe(t, t.runtime(), t.info().index);
  check_text(t, info.id, sizeof info.id, false, "id");
  check_text(t, info.name, sizeof info.name, false, "name");
  check_text(t, info.vendor, sizeof info.vendor, true, "vendor");
  check_text(t, info.driver_version, sizeof info.driver_version, true, "driver_version");
  check_text(t, info.bus_id, sizeof info.bus_id, true, "bus_id");
  std::uint32_t formats = 0;
  t.ok(flagos_module_get_format_count(t.device(), &formats), "count the formats");
  t.check(formats >= 1, "the device takes a format");
  for (std::uint32_t i = 0; i < formats; ++i) {
    flagos_format_info_t format;
    std::memset(&format, 0, sizeof format);
    format.struct_size = sizeof format;
    t.ok(flagos_module_get_format(t.device(), i, &format), "describe a format");
    check_text(t, format.name, sizeof format.name, false, "name of the format");
    check_text(t, format.version, sizeof format.version, false, "version of the format");
    check_text(t, format.target, sizeof format.target, true, "target of the format");
  }
  t.smoke();
}

}  // namespace flagos::conformance
