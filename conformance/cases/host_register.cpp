// host.reg, host.devptr: host memory of the caller that the device may use.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "conformance/cases/data.hpp"

namespace flagos::conformance {
namespace {

using namespace data;

// Pages of a mapping; of a file when one is given.
class Mapping {
 public:
  Mapping(Context& t, std::uint64_t size, int file = -1) : size_(size) {
    const int flags = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void* const pages = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, file, 0);
    if (pages == MAP_FAILED) t.resource("mmap of " + std::to_string(size) + " bytes failed");
    pointer_ = static_cast<std::uint8_t*>(pages);
  }
  ~Mapping() { munmap(pointer_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::uint8_t* pointer() const { return pointer_; }
  std::uint64_t size() const { return size_; }

 private:
  std::uint8_t* pointer_ = nullptr;
  std::uint64_t size_;
};

class Registration {
 public:
  Registration(Context& t, void* pointer, std::uint64_t size) : t_(t), pointer_(pointer) {
    t.ok(flagos_memory_host_register(t.device(), pointer, size, 0, &address_),
         "memory_host_register");
    t.check(address_ != 0, "memory_host_register gives an address");
  }
  ~Registration() {
    if (pointer_ != nullptr) flagos_memory_host_unregister(t_.device(), pointer_);
  }
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  flagos_address_t address(std::uint64_t offset = 0) const { return address_ + offset; }
  void end() {
    t_.ok(flagos_memory_host_unregister(t_.device(), std::exchange(pointer_, nullptr)),
          "memory_host_unregister");
  }

 private:
  Context& t_;
  void* pointer_;
  flagos_address_t address_ = 0;
};

// Registers, copies to the device and back into the same memory, unregisters.
void there_and_back(Context& t, std::uint8_t* memory, std::uint64_t size) {
  Stream stream(t);
  Buffer device(t, size);
  const auto bytes = noise(t, size);
  std::copy(bytes.begin(), bytes.end(), memory);
  Registration registration(t, memory, size);
  copy(t, stream, device.address(), registration.address(), size);
  synchronize(t, stream);
  std::fill_n(memory, size, std::uint8_t{0});
  copy(t, stream, registration.address(), device.address(), size);
  synchronize(t, stream);
  same(t, {memory, static_cast<std::size_t>(size)}, bytes, "what came back to registered memory");
  registration.end();
}

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

FLAGOS_CASE("host.reg.basic", {.clause = "flagos_memory_host_register",
                               .level = Level::optional,
                               .feature = "host_register"}) {
  constexpr std::uint64_t size = 256 * kKib;
  t.subcase("heap");
  std::vector<std::uint8_t> heap(size);
  there_and_back(t, heap.data(), size);
  t.subcase("pages");
  const Mapping pages(t, size);
  there_and_back(t, pages.pointer(), size);
  t.subcase("the same pages again");
  there_and_back(t, pages.pointer(), size);
  t.subcase("file");
  const std::unique_ptr<std::FILE, CloseFile> file(std::tmpfile());
  if (!file || ftruncate(fileno(file.get()), size) != 0) t.resource("no temporary file");
  const Mapping of_file(t, size, fileno(file.get()));
  there_and_back(t, of_file.pointer(), size);
  t.subcase("stack");
  std::array<std::uint8_t, 16 * kKib> stack{};
  there_and_back(t, stack.data(), stack.size());
}

FLAGOS_CASE("host.reg.unaligned",
            {.clause = "flagos_memory_host_register: OK or refused, always the same",
             .level = Level::optional,
             .feature = "host_register"}) {
  const Mapping pages(t, 64 * kKib);
  struct Range {
    std::uint64_t offset, size;
  };
  for (const Range range : {Range{1, 8192}, Range{4096, 5001}, Range{77, 77}}) {
    t.subcase("offset=" + std::to_string(range.offset) + " size=" + std::to_string(range.size));
    std::uint8_t* const memory = pages.pointer() + range.offset;
    flagos_address_t address = 1;
    const flagos_status_t status =
        flagos_memory_host_register(t.device(), memory, range.size, 0, &address);
    if (status != FLAGOS_STATUS_OK) {
      t.status(status, FLAGOS_STATUS_INVALID_ARGUMENT, "memory_host_register of unaligned memory");
      t.equal(address, 0, "the address of a failed registration");
      continue;
    }
    t.ok(flagos_memory_host_unregister(t.device(), memory), "memory_host_unregister");
    there_and_back(t, memory, range.size);
  }
  t.smoke();
}

FLAGOS_CASE("host.reg.overlap",
            {.clause = "flagos_memory_host_register: INVALID_ARGUMENT for an overlap",
             .level = Level::optional,
             .oracle = Oracle::code,
             .feature = "host_register"}) {
  const Mapping pages(t, 256 * kKib);
  Registration registration(t, pages.pointer() + 64 * kKib, 64 * kKib);
  const auto refuse = [&](const char* what, std::uint64_t offset, std::uint64_t size) {
    t.subcase(what);
    flagos_address_t address = 1;
    t.status(flagos_memory_host_register(t.device(), pages.pointer() + offset, size, 0, &address),
             FLAGOS_STATUS_INVALID_ARGUMENT, "memory_host_register");
    t.equal(address, 0, "the address of a failed registration");
  };
  refuse("the same range", 64 * kKib, 64 * kKib);
  refuse("overlap at the start", 32 * kKib, 64 * kKib);
  refuse("overlap at the end", 96 * kKib, 64 * kKib);
  refuse("inside", 68 * kKib, 4 * kKib);
  refuse("around", 0, 256 * kKib);
  refuse("size 0", 192 * kKib, 0);
  t.subcase("not registered");
  for (const std::uint64_t offset : {std::uint64_t{0}, 68 * kKib, 128 * kKib}) {
    t.status(flagos_memory_host_unregister(t.device(), pages.pointer() + offset),
             FLAGOS_STATUS_INVALID_HANDLE,
             "memory_host_unregister of memory that is not registered");
  }
  registration.end();
  t.status(flagos_memory_host_unregister(t.device(), pages.pointer() + 64 * kKib),
           FLAGOS_STATUS_INVALID_HANDLE, "memory_host_unregister the second time");
  t.subcase("afterwards");
  there_and_back(t, pages.pointer() + 32 * kKib, 64 * kKib);
}

FLAGOS_CASE("host.reg.unreg_pending",
            {.clause = "flagos_memory_host_unregister waits for the work before",
             .level = Level::optional,
             .feature = "host_register"}) {
  constexpr std::uint64_t size = 64 * kKib;
  Stream stream(t);
  Buffer device(t, size);
  const Mapping pages(t, size);
  for (int round = 0; round < 20; ++round) {
    const auto bytes = noise(t, size);
    std::copy(bytes.begin(), bytes.end(), pages.pointer());
    Registration registration(t, pages.pointer(), size);
    for (int i = 0; i < 20; ++i) copy(t, stream, device.address(), registration.address(), size);
    registration.end();
    std::fill_n(pages.pointer(), size,
                std::uint8_t{0xdd});  // the caller's again: nothing reads it any more
    synchronize(t, stream);
    same(t, device.read(), bytes, "what the copies read before the end of the registration");
  }
}

// The pages go away below a registration: whatever the plugin answers, the process must be able to
// end in order.
FLAGOS_HELPER("host_unmap_registered") {
  HelperDevice plugin(h);
  if (!plugin.ready()) return 10;
  constexpr std::uint64_t size = 64 * kKib;
  void* const pages =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) return 11;
  flagos_address_t address = 0;
  if (flagos_memory_host_register(plugin.device(), pages, size, 0, &address) != FLAGOS_STATUS_OK)
    return 12;
  munmap(pages, size);
  flagos_memory_host_unregister(plugin.device(), pages);
  std::uint32_t value = 0;
  const std::uint32_t expected = 0x600d;
  const flagos_memory_desc_t desc = memory_desc(64);
  if (flagos_memory_alloc(plugin.device(), &desc, &address) != FLAGOS_STATUS_OK) return 13;
  flagos_memory_fill(plugin.stream(), address, &expected, 4, 64);
  flagos_memory_copy(plugin.stream(), host(&value), address, 4);
  const flagos_status_t status = flagos_stream_synchronize(plugin.stream(), kPatienceNs);
  flagos_memory_free(plugin.device(), address);
  return status == FLAGOS_STATUS_OK && value == expected ? 0 : 14;
}

FLAGOS_CASE("host.reg.munmap_while_reg",
            {.clause = "flagos_memory_host_unregister: no crash when the pages are gone",
             .level = Level::optional,
             .isolation = Isolation::multi,
             .feature = "host_register"}) {
  t.equal(static_cast<std::uint64_t>(t.run_helper("host_unmap_registered", {}, 60)), 0,
          "the exit code of the process that unmapped registered memory");
  t.smoke();
}

FLAGOS_CASE("host.reg.readonly_map", {.clause = "flagos_memory_host_register of read-only pages",
                                      .level = Level::optional,
                                      .feature = "host_register"}) {
  constexpr std::uint64_t size = 64 * kKib;
  Stream stream(t);
  Buffer device(t, size);
  const Mapping pages(t, size);
  const auto bytes = noise(t, size);
  std::copy(bytes.begin(), bytes.end(), pages.pointer());
  t.equal(static_cast<std::uint64_t>(mprotect(pages.pointer(), size, PROT_READ)), 0, "mprotect");
  flagos_address_t address = 1;
  const flagos_status_t status =
      flagos_memory_host_register(t.device(), pages.pointer(), size, 0, &address);
  if (status != FLAGOS_STATUS_OK) {
    // A driver that pins for writing cannot take such pages; then they are ordinary host memory.
    t.check(FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_UNSUPPORTED ||
                FLAGOS_STATUS_CLASS(status) == FLAGOS_STATUS_CLASS_ARGUMENT,
            "read-only memory is registered, or refused as unsupported or as a wrong argument");
    t.equal(address, 0, "the address of a failed registration");
    address = host(pages.pointer());
  }
  copy(t, stream, device.address(), address, size);
  synchronize(t, stream);
  same(t, device.read(), bytes, "what was read from read-only memory");
  if (status == FLAGOS_STATUS_OK) {
    t.ok(flagos_memory_host_unregister(t.device(), pages.pointer()), "memory_host_unregister");
  }
}

FLAGOS_CASE("host.devptr.equal_or_query",
            {.clause = "flagos_memory_host_register: the address that the device uses",
             .level = Level::optional,
             .feature = "host_register"}) {
  constexpr std::uint32_t count = 4096;
  Stream stream(t);
  std::vector<std::uint32_t> memory(count);
  for (std::uint32_t i = 0; i < count; ++i) memory[i] = i * 3;
  Registration registration(t, memory.data(), count * 4);
  t.subcase("read and write by a kernel");
  add_words(t, stream, registration.address(), registration.address(), 5, count);
  synchronize(t, stream);
  for (std::uint32_t i = 0; i < count; ++i)
    t.equal(memory[i], i * 3 + 5, "word " + std::to_string(i));
  t.subcase("fill");
  fill(t, stream, registration.address(4), std::uint32_t{0x01020304}, 8);
  synchronize(t, stream);
  t.equal(memory[1], 0x01020304, "a filled word");
  t.equal(memory[2], 0x01020304, "a filled word");
  t.equal(memory[3], 14, "the word behind the fill");
  registration.end();
}

}  // namespace
}  // namespace flagos::conformance
