// Several devices at once: kernels on memory of another one, all copies together, memory that goes while it is used, and
// a part of the devices only.
#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <sstream>

#include "conformance/cases/process.hpp"
#include "conformance/cases/sites.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t a_minute = 60'000'000'000u;

std::uint64_t link_flags(Context& t, std::uint32_t from, std::uint32_t to) {
  flagos_link_info_t link{};
  link.struct_size = sizeof link;
  t.ok(flagos_device_get_link(t.runtime(), from, to, &link), "flagos_device_get_link");
  return link.flags;
}

// Kernels of the case's device load from, store to and count in `theirs`, whose bytes are `data`: 8192 bytes of a source
// and a target, and a word of 8 bytes.
struct Reach {
  Context& t;
  flagos_address_t theirs;
  static constexpr std::uint64_t half = 4096;
  static constexpr std::uint64_t size = 2 * half + 8;
  static constexpr std::uint32_t words = half / 4;

  // What `theirs` holds afterwards.
  std::vector<std::uint8_t> run(const std::vector<std::uint8_t>& data, bool has_atomics) {
    Stream stream(t);
    Buffer mine(t, 2 * half);
    const auto own = t.random_bytes(half);
    mine.write(own);
    const auto copy = [&](flagos_address_t target, flagos_address_t source) {
      launch(t, stream, t.kernel("copy_u32"), {words / 64, 1, 1}, {64, 1, 1},
             {arg(target), arg(source), arg_u32(words)});
    };
    copy(mine.address(half), theirs);
    copy(theirs + half, mine.address());
    if (has_atomics)
      launch(t, stream, t.kernel("krn_count"), {16, 1, 1}, {64, 1, 1}, {arg(theirs + 2 * half)});
    stream.synchronize();
    t.equal_bytes(mine.read(half, half), std::span(data).first(half), "what the kernel loaded");
    std::vector<std::uint8_t> expected = data;
    std::copy(own.begin(), own.end(), expected.begin() + half);
    std::uint64_t count = 0;
    std::memcpy(&count, expected.data() + 2 * half, 8);
    if (has_atomics) count += 16 * 64;
    std::memcpy(expected.data() + 2 * half, &count, 8);
    return expected;
  }
};

}  // namespace

// The device itself is the first of them: every device reaches its own memory.
FLAGOS_CASE("peer.kernel_direct",
            {.clause = "FLAGOS_LINK_FLAG_DIRECT_ACCESS, ATOMICS", .level = Level::optional}) {
  const std::uint32_t here = t.info().index;
  t.subcase("the device itself");
  const std::uint64_t own_flags = link_flags(t, here, here);
  t.check((own_flags & FLAGOS_LINK_FLAG_DIRECT_ACCESS) != 0, "a device reaches its own memory");
  Buffer own(t, Reach::size);
  const auto data = t.random_bytes(Reach::size);
  own.write(data);
  Reach mine{t, own.address()};
  const auto expected = mine.run(data, (own_flags & FLAGOS_LINK_FLAG_ATOMICS) != 0);
  t.equal_bytes(own.read(), expected, "what the kernels stored and counted");
  for (std::uint32_t there = 0; there < device_count(t); ++there) {
    const std::uint64_t flags = link_flags(t, here, there);
    if (there == here || (flags & FLAGOS_LINK_FLAG_DIRECT_ACCESS) == 0) continue;
    t.subcase("device " + std::to_string(there));
    Site site(t, there, Reach::size);
    site.write(data);
    Reach reach{t, site.memory()};
    const auto seen_there = reach.run(data, (flags & FLAGOS_LINK_FLAG_ATOMICS) != 0);
    t.equal_bytes(site.read(), seen_there, "what the other device's memory holds");
  }
}

FLAGOS_CASE("peer.concurrent_all_to_all",
            {.clause = "flagos_memory_copy_peer: all pairs at once", .feature = "peer_copy"}) {
  const std::uint64_t piece = t.settings().quick ? 100'003 : (std::uint64_t{4} << 20) + 3;
  const std::uint32_t devices = device_count(t), count = std::clamp(devices, 3u, 4u);
  const int rounds = t.settings().quick ? 2 : 10;
  std::vector<std::unique_ptr<Site>> sites;
  for (std::uint32_t i = 0; i < count; ++i)
    sites.push_back(std::make_unique<Site>(t, i % devices, piece * (count + 1)));
  for (int round = 0; round < rounds; ++round) {
    t.subcase("round " + std::to_string(round));
    // Each site holds a piece of its own, and behind it one from every other.
    std::vector<std::vector<std::uint8_t>> expected;
    for (std::uint32_t i = 0; i < count; ++i) {
      expected.push_back(t.random_bytes(piece * (count + 1)));
      sites[i]->write(expected[i]);
    }
    std::uint32_t refused = 0;
    for (std::uint32_t from = 0; from < count; ++from)
      for (std::uint32_t to = 0; to < count; ++to) {
        if (from == to) continue;
        const std::uint64_t place = piece * (1 + from);
        // Half of them on the stream of the source, half on the target's.
        const Site& at = *sites[(from + to) % 2 == 0 ? from : to];
        if (flagos_memory_copy_peer(at.stream(), sites[to]->memory() + place, sites[to]->device(),
                                    sites[from]->memory(), sites[from]->device(), piece) != ok)
          ++refused;
        std::copy_n(expected[from].begin(), piece, expected[to].begin() + static_cast<long>(place));
      }
    for (const auto& site : sites) site->synchronize();
    t.equal(refused, 0, "copies that were refused");
    for (std::uint32_t i = 0; i < count; ++i)
      t.equal_bytes(sites[i]->read(), expected[i], "site " + std::to_string(i));
  }
}

FLAGOS_CASE("peer.free_while_mapped",
            {.clause = "flagos_memory_free: the release waits for work of other devices too",
             .feature = "timeline"}) {
  constexpr std::uint64_t room = 65'536;
  Site here(t, t.info().index, room), there(t, other_index(t), 64);
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = room;
  const auto data = t.random_bytes(room), other = t.random_bytes(room);
  flagos_address_t source = 0, next = 0;
  t.ok(flagos_memory_alloc(there.device(), &desc, &source), "allocate");
  there.write_at(source, data);
  here.write(other);
  flagos_timeline_t* timeline = nullptr;
  t.ok(flagos_timeline_create(here.device(), 0, &timeline), "create a timeline");
  const bool queued = flagos_stream_wait_timeline(here.stream(), timeline, 1) == ok &&
                      flagos_memory_copy_peer(here.stream(), here.memory(), here.device(), source,
                                              there.device(), room) == ok;
  const flagos_status_t freed = flagos_memory_free(there.device(), source);
  const flagos_status_t again = flagos_memory_free(there.device(), source);
  // Perhaps in the same place, if that was given up too early.
  const flagos_status_t allocated = flagos_memory_alloc(there.device(), &desc, &next);
  flagos_memory_copy(there.stream(), next, address_of(other.data()), room);
  flagos_stream_synchronize(there.stream(), a_minute);
  flagos_timeline_signal(timeline, 1);
  const flagos_status_t finished = flagos_stream_synchronize(here.stream(), a_minute);
  flagos_timeline_destroy(timeline);
  flagos_memory_free(there.device(), next);
  t.check(queued, "a wait and a copy of the other device's memory are queued");
  t.ok(freed, "free memory that a copy of another device will read");
  t.status(again, FLAGOS_STATUS_INVALID_HANDLE, "free it twice");
  t.ok(allocated, "allocate meanwhile");
  t.ok(finished, "finish the copy");
  t.equal_bytes(here.read(), data, "the copy read what the memory held when it was freed");
}

namespace {

std::string hex(const std::uint8_t (&uuid)[16]) {
  constexpr const char* digits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : uuid) text += {digits[byte >> 4], digits[byte & 15]};
  return text;
}

// A line for each device that the plugin shows in this process: its index, id and uuid.
std::vector<std::string> visible_devices(const std::string& plugin) {
  std::vector<std::string> lines;
  const flagos_runtime_desc_t desc{sizeof desc, FLAGOS_ABI_VERSION, nullptr,
                                   FLAGOS_RUNTIME_FLAG_NO_SEARCH, nullptr};
  flagos_runtime_t* runtime = nullptr;
  if (flagos_runtime_create(&desc, &runtime) != ok) return lines;
  std::uint32_t count = 0;
  if (flagos_runtime_add_plugin(runtime, plugin.c_str()) == ok)
    flagos_device_get_count(runtime, &count);
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_device_info_t info{};
    info.struct_size = sizeof info;
    if (flagos_device_describe(runtime, i, &info) != ok) break;
    lines.push_back(std::to_string(info.index) + " " + info.id + " " + hex(info.uuid));
  }
  flagos_runtime_destroy(runtime);
  return lines;
}

FLAGOS_HELPER("visible_devices") {
  ::setenv(h.arguments.at(0).c_str(), h.arguments.at(1).c_str(), 1);
  for (const std::string& line : visible_devices(h.settings.plugin_path))
    std::printf("device %s\n", line.c_str());
  return 0;
}

// Which devices another process sees, with the filter set.
std::vector<std::string> seen_with(Context& t, const std::string& variable,
                                   const std::string& value) {
  std::string text;
  const int code = t.run_helper("visible_devices", {variable, value}, 90, &text);
  t.equal(static_cast<std::uint64_t>(code), 0, "the process with " + variable + "=" + value);
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);)
    if (line.starts_with("device ")) lines.push_back(line.substr(7));
  return lines;
}

}  // namespace

// The contract knows no filter of devices. Where the plugin has one by the usual name and takes uuids, the devices keep
// their uuids and are numbered anew.
FLAGOS_CASE("peer.visible_subset", {.clause = "FLAGOS_<PLUGIN>_DEVICES",
                                    .level = Level::optional,
                                    .oracle = Oracle::code,
                                    .isolation = Isolation::multi,
                                    .query = true}) {
  const std::string id = t.info().id, name = id.substr(0, id.find(':'));
  std::string variable = "FLAGOS_";
  for (const char letter : name)
    variable += static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  variable += "_DEVICES";
  const std::uint32_t count = device_count(t);
  std::vector<std::string> uuids;
  for (std::uint32_t i = 0; i < count; ++i) {
    flagos_device_info_t info{};
    info.struct_size = sizeof info;
    t.ok(flagos_device_describe(t.runtime(), i, &info), "describe a device");
    uuids.push_back("uuid:" + hex(info.uuid));
  }
  const std::string nobody = "uuid:" + std::string(32, 'f');
  // A variable that means something else, such as a number of devices, knows no uuid at all.
  if (seen_with(t, variable, nobody).size() == count || seen_with(t, variable, uuids[0]).empty())
    t.not_supported("the plugin does not take uuids in " + variable);
  t.equal(seen_with(t, variable, nobody).size(), 0, "devices with a uuid of nobody");
  for (std::uint32_t i = 0; i < count; ++i) {
    t.subcase(uuids[i]);
    const auto seen = seen_with(t, variable, uuids[i]);
    t.equal(seen.size(), 1, "devices with this uuid");
    t.check(seen[0] == "0 " + name + ":0 " + uuids[i].substr(5),
            "it is device 0 and keeps its uuid; there is '" + seen[0] + "'");
  }
  if (count < 2) return;
  t.subcase("the last and the first");
  const auto seen = seen_with(t, variable, uuids.back() + "," + uuids.front());
  t.equal(seen.size(), 2, "devices");
  t.check(seen[0].ends_with(uuids.back().substr(5)) && seen[1].ends_with(uuids.front().substr(5)),
          "in the order of the filter");
}

}  // namespace flagos::conformance
