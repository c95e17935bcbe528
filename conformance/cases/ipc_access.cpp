// Who can import exported memory: other devices, other users, other descriptors; and memory that is large.
#include <fcntl.h>
#include <grp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

#include "conformance/cases/ipc_support.hpp"
#include "conformance/cases/sites.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_handle = FLAGOS_STATUS_INVALID_HANDLE;
constexpr std::uint64_t size = 100'000;

// A file of the case's own; closed, and unlinked where it has a name, in the destructor.
struct File {
  explicit File(int the_fd, std::string the_path = "") : fd(the_fd), path(std::move(the_path)) {}
  ~File() {
    if (fd >= 0) ::close(fd);
    if (!path.empty()) ::unlink(path.c_str());
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd;
  std::string path;
};

void refused(Context& t, const flagos_external_t& external, const std::string& what) {
  flagos_address_t address = 1;
  t.status(flagos_memory_import(t.device(), &external, &address, nullptr), invalid_handle, what);
  t.equal(address, 0, "nothing is mapped");
}

// Reads and writes the exporter's memory through an import on another device, where that takes it.
void check_site(Context& t, std::uint32_t index, flagos_address_t mine, const External& external) {
  Site site(t, index, 64);
  flagos_address_t address = 1;
  std::uint64_t bytes = 1;
  const flagos_status_t imported =
      flagos_memory_import(site.device(), &external.value(), &address, &bytes);
  if (imported == FLAGOS_STATUS_UNSUPPORTED) {
    t.equal(address, 0, "nothing is mapped");
    t.equal(bytes, 0, "its size is cleared");
    return;
  }
  t.ok(imported, "another device takes it, or says UNSUPPORTED");
  t.equal(bytes, size, "size of the import");
  const auto held = read_memory(t, mine, size), written = t.random_bytes(size);
  const auto seen = site.read_at(address, size);
  site.write_at(address, written);
  t.ok(flagos_memory_free(site.device(), address), "free the import");
  t.equal_bytes(seen, held, "what the other device reads");
  t.equal_bytes(read_memory(t, mine, size), written, "what the other device wrote");
}

}  // namespace

FLAGOS_CASE("ipc.mem.wrong_device", {IPC_MEMORY}) {
  Exportable mine(t, size, t.random()());
  const External external(t, mine.address());
  t.subcase("another device of the plugin, or another opening");
  check_site(t, other_index(t), mine.address(), external);
  const std::string path = other_plugin(t.settings());
  if (!path.empty()) {
    t.subcase("a device of another plugin");
    const std::uint32_t first = device_count(t);
    t.ok(flagos_runtime_add_plugin(t.runtime(), path.c_str()), "load another plugin");
    check_site(t, first, mine.address(), external);
  }
  t.subcase("an export of an event");
  if (t.has(FLAGOS_FEATURE_EXPORT_EVENT)) {
    Event event(t, FLAGOS_EVENT_FLAG_NO_TIMING | FLAGOS_EVENT_FLAG_EXPORTABLE);
    const External exported(t, event);
    refused(t, exported.value(), "an event is no memory");
  }
  const auto data = t.random_bytes(size);
  write_memory(t, mine.address(), data);
  t.equal_bytes(read_memory(t, mine.address(), size), data, "the exporter goes on");
}

// The descriptor is the permission: who was not given it gets at nothing, whatever else he knows.
FLAGOS_CASE("ipc.mem.other_user", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Exportable mine(t, size, seed);
  const External external(t, mine.address());
  t.subcase("who has the blob only");
  flagos_external_t stolen = external.value();
  stolen.fd = -1;
  refused(t, stolen, "a blob without a descriptor");
  const File made(::memfd_create("stolen", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  t.check(made.fd >= 0 && ::ftruncate(made.fd, 1 << 20) == 0, "memory of one's own");
  stolen.fd = made.fd;
  refused(t, stolen, "a blob with memory of one's own");
  t.subcase("another user of the machine");
  const std::string path =
      "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(external.value().fd);
  constexpr int opened = 1, one_user = 2;
  const int outcome = t.in_child(
      [&] {
        constexpr uid_t nobody = 65534;
        if (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
            ::setresuid(nobody, nobody, nobody) != 0)
          return one_user;
        return ::open(path.c_str(), O_RDWR | O_CLOEXEC) >= 0 ||
                       ::open(path.c_str(), O_RDONLY | O_CLOEXEC) >= 0
                   ? opened
                   : 0;
      },
      60);
  // Only who may become another user can try it; the others have seen the rest.
  if (outcome != one_user)
    t.equal(static_cast<std::uint64_t>(outcome), 0, "another user opens " + path);
  t.equal_bytes(read_memory(t, mine.address(), size), pattern(seed, size), "the exporter's bytes");
}

// What has no name cannot have been put there by somebody else first.
FLAGOS_CASE("ipc.name_squatting", {IPC_MEMORY}) {
  const std::uint64_t seed = t.random()();
  Exportable mine(t, size, seed);
  const External external(t, mine.address());
  const std::string entry = "/proc/self/fd/" + std::to_string(external.value().fd);
  char target[PATH_MAX] = {};
  t.check(::readlink(entry.c_str(), target, sizeof target - 1) > 0, "the descriptor is open");
  struct stat named {
  }, held{};
  t.check(::fstat(external.value().fd, &held) == 0, "the descriptor has a file");
  const bool has_name =
      ::lstat(target, &named) == 0 && named.st_dev == held.st_dev && named.st_ino == held.st_ino;
  t.check(!has_name || (named.st_uid == ::geteuid() && (named.st_mode & 077) == 0),
          "a file with a name is its owner's only: " + std::string(target));

  t.subcase("a copy under a name that somebody chose");
  const char* const folder = std::getenv("TMPDIR");
  std::string path = std::string(folder != nullptr ? folder : "/tmp") + "/flagos-squat-XXXXXX";
  const int fd = ::mkostemp(path.data(), O_CLOEXEC);
  const File squat(fd, path);
  t.check(fd >= 0, "make a file " + path);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(std::max<off_t>(held.st_size, 1)));
  const bool copied = ::pread(external.value().fd, bytes.data(), bytes.size(), 0) >= 0 &&
                      ::write(fd, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
  // Descriptors of some drivers cannot be read; then it is a file of zeros.
  if (!copied) t.check(::ftruncate(fd, 1 << 20) == 0, "fill the file");
  flagos_external_t forged = external.value();
  forged.fd = fd;
  refused(t, forged, "a file with a name and the same bytes");
  const std::string linked = path + ".link";
  t.check(::symlink(path.c_str(), linked.c_str()) == 0, "a link to it");
  const File link(::open(linked.c_str(), O_RDWR | O_CLOEXEC), linked);
  forged.fd = link.fd;
  refused(t, forged, "the same through a link");

  flagos_address_t address = 0;
  t.ok(flagos_memory_import(t.device(), &external.value(), &address, nullptr),
       "import the true one");
  const auto seen = read_memory(t, address, size);
  t.ok(flagos_memory_free(t.device(), address), "free the import");
  t.equal_bytes(seen, pattern(seed, size), "it holds the exporter's bytes");
}

FLAGOS_CASE("ipc.mem.large", {IPC_MEMORY, .seconds = 240}) {
  const std::uint64_t large =
      (t.settings().quick ? std::uint64_t{64} << 20 : (std::uint64_t{1} << 30) + (64 << 20)) + 4099;
  constexpr std::uint64_t piece = 65'536;
  std::uint64_t free_bytes = 0, total_bytes = 0;
  t.ok(flagos_device_query_memory(t.device(), &free_bytes, &total_bytes), "ask for free memory");
  struct sysinfo machine {};
  ::sysinfo(&machine);
  const std::uint64_t ram = (std::uint64_t{machine.freeram} + machine.bufferram) * machine.mem_unit;
  if (t.info().max_allocation_bytes < large || free_bytes < large + large / 4 ||
      ram < large + large / 4)
    t.resource("it needs " + std::to_string(large) + " bytes in one piece");
  const std::uint64_t seed = t.random()();
  Follower other(t.settings());
  Exportable mine(t, large, seed, piece);
  const External external(t, mine.address());
  const Message imported = ask(t, other, order(Order::import_memory, external.value()));
  t.equal(imported.size, large, "size of the import");
  ask(t, other, order(Order::check, imported.address, seed, piece));
  std::uint64_t number = 0;
  for (const std::uint64_t offset : {large / 2 - piece / 2, large - piece}) {
    t.subcase("offset " + std::to_string(offset));
    number += 2;
    write_memory(t, mine.address() + offset, pattern(seed + number, piece));
    ask(t, other, order(Order::check, imported.address + offset, seed + number, piece));
    ask(t, other, order(Order::write, imported.address + offset, seed + number + 1, piece));
    t.equal_bytes(read_memory(t, mine.address() + offset, piece), pattern(seed + number + 1, piece),
                  "what the other process wrote");
  }
  ask(t, other, order(Order::free_memory, imported.address));
  t.equal_bytes(read_memory(t, mine.address(), piece), pattern(seed, piece), "the first bytes");
}

}  // namespace flagos::conformance
