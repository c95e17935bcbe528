// mem.vmm: addresses apart from memory: mapped, mapped twice, moved, grown in place, kept from
// access, shared with another process.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "conformance/cases/data.hpp"
#include "conformance/cases/growth.hpp"
#include "conformance/cases/ipc_support.hpp"
#include "conformance/cases/process.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto none = FLAGOS_MEMORY_ACCESS_NONE;
constexpr auto read_only = FLAGOS_MEMORY_ACCESS_READ;
constexpr auto read_write = FLAGOS_MEMORY_ACCESS_READ_WRITE;

flagos_physical_memory_desc_t physical_desc(std::uint64_t size = 0, std::uint64_t flags = 0) {
  return {sizeof(flagos_physical_memory_desc_t), FLAGOS_MEMORY_KIND_DEVICE, nullptr, size, flags};
}

std::uint64_t granularity(Context& t) {
  const auto desc = physical_desc();
  std::uint64_t minimum = 0, recommended = 0;
  t.ok(flagos_virtual_memory_get_granularity(t.device(), &desc, &minimum, &recommended),
       "the granularity");
  t.check(minimum != 0 && (minimum & (minimum - 1)) == 0, "the granularity is a power of two");
  t.check(recommended >= minimum && recommended % minimum == 0,
          "the recommended granularity is a multiple of the least");
  return minimum;
}

// Physical memory of the case's; destroyed in the destructor.
struct Physical {
  Physical(Context& t, std::uint64_t size) {
    const auto desc = physical_desc(size);
    t.ok(flagos_physical_memory_create(t.device(), &desc, &memory), "create physical memory");
  }
  explicit Physical(flagos_physical_memory_t* made) : memory(made) {}
  ~Physical() { flagos_physical_memory_destroy(memory); }
  Physical(const Physical&) = delete;
  Physical& operator=(const Physical&) = delete;
  operator flagos_physical_memory_t*() const { return memory; }
  flagos_physical_memory_t* memory = nullptr;
};

// Reserved addresses; what is mapped there goes with them.
class Space {
 public:
  Space(Context& t, std::uint64_t size) : t_(t) {
    t.ok(flagos_virtual_memory_reserve(t.device(), size, 0, 0, &base_), "reserve addresses");
  }
  ~Space() {
    for (const flagos_address_t address : mapped_)
      flagos_virtual_memory_unmap(t_.device(), address);
    flagos_virtual_memory_release(t_.device(), base_);
  }
  Space(const Space&) = delete;
  Space& operator=(const Space&) = delete;

  flagos_address_t at(std::uint64_t offset) const { return base_ + offset; }
  void map(std::uint64_t offset, std::uint64_t size, flagos_physical_memory_t* memory,
           flagos_memory_access_t access = read_write) {
    t_.ok(flagos_virtual_memory_map(t_.device(), at(offset), size, memory, 0), "map");
    mapped_.push_back(at(offset));
    if (access != none) set_access(offset, size, access);
  }
  void unmap(std::uint64_t offset) {
    t_.ok(flagos_virtual_memory_unmap(t_.device(), at(offset)), "unmap");
    std::erase(mapped_, at(offset));
  }
  void set_access(std::uint64_t offset, std::uint64_t size, flagos_memory_access_t access) {
    t_.ok(flagos_virtual_memory_set_access(t_.device(), at(offset), size, t_.device(), access),
          "set access");
  }

 private:
  Context& t_;
  flagos_address_t base_ = 0;
  std::vector<flagos_address_t> mapped_;
};

#define VMM .level = Level::optional, .feature = "virtual_memory"

FLAGOS_CASE("mem.vmm.reserve_map", {.clause = "flagos_virtual_memory_map", VMM}) {
  const std::uint64_t unit = granularity(t);
  Stream stream(t);
  Space space(t, 8 * unit);
  Physical first(t, 2 * unit), second(t, unit);
  const auto check = [&](std::uint64_t offset, const std::vector<std::uint8_t>& bytes,
                         const char* what) {
    same(t, read(t, stream, space.at(offset), bytes.size()), bytes, what);
  };

  t.subcase("a range over two mappings");
  space.map(0, 2 * unit, first);
  space.map(2 * unit, unit, second);
  const auto bytes = noise(t, 3 * unit);
  write(t, stream, space.at(0), bytes);
  check(0, bytes, "what was written over two mappings");

  t.subcase("a kernel over two mappings");
  Memory result(t, 256);
  add_words(t, stream, result.address(), space.at(2 * unit - 128), 1, 64);
  auto words =
      std::vector<std::uint8_t>(bytes.begin() + static_cast<std::ptrdiff_t>(2 * unit - 128),
                                bytes.begin() + static_cast<std::ptrdiff_t>(2 * unit + 128));
  for (std::size_t i = 0; i < words.size(); i += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, &words[i], 4);
    ++word;
    std::memcpy(&words[i], &word, 4);
  }
  same(t, read(t, stream, result.address(), 256), words, "what the kernel read");

  t.subcase("the same memory twice");
  space.map(4 * unit, 2 * unit, first);
  check(4 * unit, {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(2 * unit)},
        "the second mapping of the memory");
  const auto changed = noise(t, 2 * unit);
  write(t, stream, space.at(4 * unit), changed);
  check(0, changed, "what was written through the second mapping");

  t.subcase("other memory at the same place");
  space.unmap(0);
  Physical third(t, 2 * unit);
  space.map(0, 2 * unit, third);
  const auto other = noise(t, 2 * unit);
  write(t, stream, space.at(0), other);
  check(0, other, "the new memory");
  check(4 * unit, changed, "the memory that was mapped here before");

  t.subcase("the same memory at another place");
  space.unmap(4 * unit);
  space.map(6 * unit, 2 * unit, first);
  check(6 * unit, changed, "memory keeps its bytes while it is mapped nowhere");
  t.smoke();
}

FLAGOS_CASE("mem.vmm.grow", {.clause = "flagos_virtual_memory_map: a buffer that grows", VMM}) {
  const std::uint64_t unit = granularity(t);
  constexpr std::uint64_t steps = 6;
  Stream stream(t);
  Space space(t, steps * unit);
  std::vector<std::uint8_t> bytes;
  for (std::uint64_t i = 0; i < steps; ++i) {
    t.subcase("units=" + std::to_string(i + 1));
    // The handle may go at once: the mapping keeps the memory.
    space.map(i * unit, unit, Physical(t, unit));
    const auto more = noise(t, unit);
    write(t, stream, space.at(i * unit), more);
    bytes.insert(bytes.end(), more.begin(), more.end());
    same(t, read(t, stream, space.at(0), bytes.size()), bytes, "the whole buffer");
  }
  flagos_memory_info_t info{};
  info.struct_size = sizeof info;
  t.ok(flagos_memory_get_info(t.device(), space.at(unit + 1), &info), "memory_get_info");
  t.equal(info.base, space.at(unit), "the start of the mapping");
  t.equal(info.size_bytes, unit, "the size of the mapping");
  t.smoke();
}

FLAGOS_CASE("mem.vmm.pending_work",
            {.clause = "flagos_virtual_memory_unmap: after the work submitted before", VMM}) {
  const std::uint64_t unit = granularity(t);
  Stream stream(t);
  Space space(t, 2 * unit);
  Memory result(t, unit);
  for (int i = 0; i < (t.settings().quick ? 20 : 200); ++i) {
    t.subcase("round " + std::to_string(i));
    const auto bytes = noise(t, unit);
    space.map(0, unit, Physical(t, unit));
    copy(t, stream, space.at(0), host(bytes.data()), unit);
    copy(t, stream, result.address(), space.at(0), unit);
    space.unmap(0);
    same(t, read(t, stream, result.address(), unit), bytes, "what pending work read");
    // The work is done: the place is free again.
  }
  t.smoke();
}

FLAGOS_CASE("mem.vmm.rules",
            {.clause = "flagos_virtual_memory_map, unmap, release, set_access", VMM}) {
  const std::uint64_t unit = granularity(t);
  Stream stream(t);
  Space space(t, 4 * unit);
  Physical memory(t, 2 * unit);
  space.map(unit, 2 * unit, memory);
  const auto map = [&](std::uint64_t offset, std::uint64_t size, std::uint64_t from = 0) {
    return flagos_virtual_memory_map(t.device(), space.at(offset), size, memory, from);
  };
  constexpr auto invalid = FLAGOS_STATUS_INVALID_ARGUMENT;
  constexpr auto handle = FLAGOS_STATUS_INVALID_HANDLE;
  t.status(map(0, 2 * unit), invalid, "map over the start of a mapping");
  t.status(map(2 * unit, unit), invalid, "map inside a mapping");
  t.status(map(2 * unit, 2 * unit), invalid, "map over the end of a mapping");
  t.status(map(3 * unit, 2 * unit), invalid, "map past the reservation");
  t.status(map(0, unit, 2 * unit), invalid, "map past the memory");
  t.status(map(3 * unit, unit / 2), invalid, "map half a unit");
  t.status(map(3 * unit + unit / 2, unit), invalid, "map at half a unit");
  t.status(flagos_virtual_memory_unmap(t.device(), space.at(2 * unit)), handle,
           "unmap the inside of a mapping");
  t.status(flagos_virtual_memory_unmap(t.device(), space.at(0)), handle, "unmap nothing");
  t.status(flagos_virtual_memory_release(t.device(), space.at(0)), FLAGOS_STATUS_BUSY,
           "release what holds a mapping");
  t.status(flagos_virtual_memory_release(t.device(), space.at(unit)), handle,
           "release the inside of a reservation");
  t.status(flagos_memory_free(t.device(), space.at(0)), handle, "free a reservation");
  t.status(
      flagos_virtual_memory_set_access(t.device(), space.at(unit), unit, t.device(), read_write),
      invalid, "set access to half of a mapping");
  const auto bytes = noise(t, 2 * unit);
  write(t, stream, space.at(unit), bytes);
  same(t, read(t, stream, space.at(unit), 2 * unit), bytes, "what is mapped");
  const auto fill_at = [&](std::uint64_t offset, std::uint64_t size) {
    const std::uint8_t pattern = 1;
    return flagos_memory_fill(stream, space.at(offset), &pattern, 1, size);
  };
  t.status(fill_at(0, 1), invalid, "fill reserved addresses");
  t.status(fill_at(2 * unit, unit + 1), invalid, "fill past a mapping");
  space.set_access(unit, 2 * unit, read_only);
  t.status(fill_at(unit, 1), invalid, "fill what may only be read");
  same(t, read(t, stream, space.at(unit), 2 * unit), bytes, "what may only be read");
  space.set_access(unit, 2 * unit, none);
  std::uint8_t seen = 0;
  t.status(flagos_memory_copy(stream, host(&seen), space.at(unit), 1), invalid,
           "copy from what may not be read");
  t.smoke();
}

FLAGOS_CASE("mem.vmm.many_ranges", {.clause = "flagos_virtual_memory_reserve: ranges of their own",
                                    .level = Level::optional,
                                    .oracle = Oracle::model,
                                    .feature = "virtual_memory"}) {
  const std::uint64_t unit = granularity(t);
  constexpr std::size_t count = 16;
  Stream stream(t);
  for (int round = 0; round < 2; ++round) {
    t.subcase("round " + std::to_string(round));
    std::vector<std::unique_ptr<Physical>> memories;
    std::vector<std::unique_ptr<Space>> spaces;
    std::vector<std::vector<std::uint8_t>> contents;
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t units = 1 + i % 3;
      memories.push_back(std::make_unique<Physical>(t, units * unit));
      spaces.push_back(std::make_unique<Space>(t, units * unit));
      spaces[i]->map(0, units * unit, *memories[i]);
      t.equal(spaces[i]->at(0) % unit, 0, "a range begins at a multiple of the granularity");
      contents.push_back(noise(t, units * unit));
      write(t, stream, spaces[i]->at(0), contents[i]);
      for (std::size_t k = 0; k < i; ++k)
        t.check(spaces[k]->at(contents[k].size()) <= spaces[i]->at(0) ||
                    spaces[i]->at(contents[i].size()) <= spaces[k]->at(0),
                "ranges lie apart");
    }
    for (std::size_t i = 0; i < count; ++i)
      same(t, read(t, stream, spaces[i]->at(0), contents[i].size()), contents[i],
           "what was written to a range");
    // Mapped elsewhere, each in the place of the next: what is there moves with the memory.
    for (std::size_t i = 0; i < count; ++i) spaces[i]->unmap(0);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t from = (i + 3) % count;  // of the same size, but for the last ones
      if (contents[from].size() != contents[i].size()) continue;
      spaces[i]->map(0, contents[i].size(), *memories[from]);
      same(t, read(t, stream, spaces[i]->at(0), contents[from].size()), contents[from],
           "what was written to the memory that is mapped now");
    }
  }
}

FLAGOS_CASE("leak.vmm", {.clause = "flagos_virtual_memory_unmap, release",
                         .level = Level::optional,
                         .oracle = Oracle::delta,
                         .isolation = Isolation::own,
                         .feature = "virtual_memory"}) {
  const std::uint64_t unit = granularity(t);
  Stream stream(t);
  expect_no_growth(t, {.cycles = 400, .quick_cycles = 60, .device_memory = false},
                   [&](std::uint64_t) {
                     Space space(t, 4 * unit);
                     Physical memory(t, unit);
                     space.map(unit, unit, memory);
                     fill(t, stream, space.at(unit), std::uint32_t{3}, unit);
                     synchronize(t, stream);
                     space.unmap(unit);
                   });
  t.smoke();
}

// ---- faults: in processes of their own -----------------------------------------------------------------------------

// What a kernel that touches memory without access may do: fail its stream or device, or end the
// process as a bad pointer does.
enum class Touch { allowed, forbidden, unmapped };

void touch(Context& t, Touch how) {
  const std::uint64_t unit = granularity(t);
  Stream stream(t);
  Memory result(t, 256);
  Space space(t, unit);
  Physical memory(t, unit);
  space.map(0, unit, memory);
  fill(t, stream, space.at(0), std::uint32_t{3}, unit);
  synchronize(t, stream);
  if (how == Touch::forbidden) space.set_access(0, unit, none);
  if (how == Touch::unmapped) space.unmap(0);
  add_words(t, stream, result.address(), space.at(0), 0, 64);
  const flagos_status_t status = flagos_stream_synchronize(stream, kPatienceNs);
  std::_Exit(status == ok ? 0 : FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_DEVICE ? 3 : 4);
}

FLAGOS_HELPER("vmm_touch_allowed") {
  return run_checks(h, [](Context& t) { touch(t, Touch::allowed); });
}
FLAGOS_HELPER("vmm_touch_forbidden") {
  return run_checks(h, [](Context& t) { touch(t, Touch::forbidden); });
}
FLAGOS_HELPER("vmm_touch_unmapped") {
  return run_checks(h, [](Context& t) { touch(t, Touch::unmapped); });
}

FLAGOS_CASE("mem.vmm.access_denied", {.clause = "flagos_virtual_memory_set_access: NONE",
                                      .level = Level::optional,
                                      .oracle = Oracle::code,
                                      .isolation = Isolation::multi,
                                      .feature = "virtual_memory"}) {
  constexpr int failed = 3, segmentation = 1000 + 11, bus = 1000 + 7;
  t.equal(static_cast<std::uint64_t>(t.run_helper("vmm_touch_allowed", {}, 60)), 0,
          "the same kernel with access");
  for (const char* const how : {"vmm_touch_forbidden", "vmm_touch_unmapped"}) {
    t.subcase(how);
    const int code = t.run_helper(how, {}, 60);
    t.check(code == failed || code == segmentation || code == bus,
            "the work fails with a status of class device, or the process ends as with a bad "
            "pointer; found code " +
                std::to_string(code));
  }
  t.smoke();
}

FLAGOS_CASE("mem.vmm.export", {.clause = "flagos_physical_memory_export, import", VMM}) {
  const std::uint64_t unit = granularity(t);
  const auto desc = physical_desc(2 * unit, FLAGOS_MEMORY_FLAG_EXPORTABLE);
  flagos_physical_memory_t* made = nullptr;
  const flagos_status_t status = flagos_physical_memory_create(t.device(), &desc, &made);
  if (status == FLAGOS_STATUS_UNSUPPORTED) t.not_supported("the device exports no physical memory");
  t.ok(status, "create memory that can be exported");
  Stream stream(t);
  Space space(t, 4 * unit);
  flagos_external_t external{};
  external.struct_size = sizeof external;
  const auto bytes = noise(t, 2 * unit);
  std::uint64_t size = 0;
  {
    Physical mine(made);
    space.map(0, 2 * unit, mine);
    write(t, stream, space.at(0), bytes);
    t.ok(flagos_physical_memory_export(mine, &external), "export");
  }
  const External owned(external);
  space.unmap(0);
  flagos_address_t address = 1;
  t.status(flagos_memory_import(t.device(), &external, &address, nullptr),
           FLAGOS_STATUS_INVALID_HANDLE, "import it as memory with addresses");
  flagos_physical_memory_t* imported = nullptr;
  t.ok(flagos_physical_memory_import(t.device(), &external, &imported, &size), "import");
  Physical theirs(imported);
  t.equal(size, 2 * unit, "size of the import");
  space.map(2 * unit, 2 * unit, theirs);
  same(t, read(t, stream, space.at(2 * unit), 2 * unit), bytes, "the memory lives in its export");
  t.smoke();
}

FLAGOS_CASE("mem.vmm.export_many",
            {.clause = "flagos_physical_memory_export, import: each its own", VMM}) {
  const std::uint64_t unit = granularity(t);
  const auto desc = physical_desc(unit, FLAGOS_MEMORY_FLAG_EXPORTABLE);
  Stream stream(t);
  std::vector<std::unique_ptr<Physical>> memories;
  std::vector<std::unique_ptr<External>> exports;
  std::vector<std::vector<std::uint8_t>> contents;
  for (int i = 0; i < 10; ++i) {
    flagos_physical_memory_t* made = nullptr;
    const flagos_status_t status = flagos_physical_memory_create(t.device(), &desc, &made);
    if (status == FLAGOS_STATUS_UNSUPPORTED)
      t.not_supported("the device exports no physical memory");
    t.ok(status, "create memory that can be exported");
    memories.push_back(std::make_unique<Physical>(made));
    Space space(t, unit);
    space.map(0, unit, made);
    contents.push_back(noise(t, unit));
    write(t, stream, space.at(0), contents.back());
    flagos_external_t external{};
    external.struct_size = sizeof external;
    t.ok(flagos_physical_memory_export(made, &external), "export");
    exports.push_back(std::make_unique<External>(external));
  }
  memories.clear();
  for (std::size_t i = 0; i < exports.size(); ++i) {
    flagos_physical_memory_t* imported = nullptr;
    std::uint64_t size = 0;
    t.ok(flagos_physical_memory_import(t.device(), &exports[i]->value(), &imported, &size),
         "import");
    Physical theirs(imported);
    t.equal(size, unit, "size of the import");
    Space space(t, unit);
    space.map(0, unit, theirs);
    same(t, read(t, stream, space.at(0), unit), contents[i], "what was written before the export");
  }
}

// Ranges so large that the address space ends soon if they do not come back.
FLAGOS_CASE("mem.vmm.release_returns",
            {.clause = "flagos_virtual_memory_release: the addresses are free again",
             .level = Level::optional,
             .oracle = Oracle::delta,
             .isolation = Isolation::own,
             .feature = "virtual_memory"}) {
  granularity(t);
  flagos_address_t address = 0;
  std::uint64_t size = std::uint64_t{1} << 44;
  while (size > (std::uint64_t{1} << 30) &&
         flagos_virtual_memory_reserve(t.device(), size, 0, 0, &address) != ok)
    size /= 2;
  t.check(address != 0, "a range of 2 GiB or more");
  t.ok(flagos_virtual_memory_release(t.device(), address), "release");
  for (int i = 0; i < 400; ++i) {
    t.ok(flagos_virtual_memory_reserve(t.device(), size, 0, 0, &address),
         "reserve " + std::to_string(size >> 30) + " GiB, time " + std::to_string(i));
    t.ok(flagos_virtual_memory_release(t.device(), address), "release");
  }
  t.smoke();
}

}  // namespace
}  // namespace flagos::conformance
