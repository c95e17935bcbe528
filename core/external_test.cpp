// Blobs that were changed or do not belong, files in memory that are not ours, and exported memory through the API.
#include "core/external.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <random>
#include <vector>

#include "base/error.hpp"
#include "core/test_plugin.hpp"

using flagos::core::ExternalBlob;
using flagos::core::ExternalKind;
using flagos::core::FileDescriptor;
using flagos::core::HostFile;
using flagos::core::open_blob;
using flagos::core::seal_blob;
using flagos::core::test::exportable;
using flagos::core::test::Fake;
using flagos::core::test::FakeOptions;
using flagos::core::test::FakeTables;

namespace {

constexpr std::uint64_t page = 4096;

template <typename Action>
flagos_status_t status_of(Action&& action) {
  try {
    action();
  } catch (const flagos::Error& error) {
    return error.status();
  }
  return FLAGOS_STATUS_OK;
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) count += entry.exists() ? 1 : 0;
  return count;
}

flagos_external_t export_of(const HostFile& file) {
  flagos_external_t external{};
  external.struct_size = sizeof(external);
  external.fd = file.fd().get();
  ExternalBlob blob{};
  blob.kind = ExternalKind::host_memory;
  blob.size_bytes = file.size_bytes();
  blob.nonce = file.nonce();
  seal_blob(blob, external.fd, external);
  return external;
}

// Through the API: a device that registers host memory, and memory of it that can be exported.
struct Exporter {
  static FakeOptions options() {
    FakeOptions options;
    options.host_register = true;
    return options;
  }
  explicit Exporter(std::uint64_t size) {
    address = f.alloc(size, FLAGOS_MEMORY_KIND_DEVICE, nullptr, FLAGOS_MEMORY_FLAG_EXPORTABLE);
    external.struct_size = sizeof(external);
    REQUIRE(flagos_memory_export(f.device(), address, &external) == FLAGOS_STATUS_OK);
  }
  ~Exporter() { ::close(external.fd); }
  flagos_status_t import(flagos_address_t* out, const flagos_external_t& from, std::uint64_t* size = nullptr) {
    return flagos_memory_import(other, &from, out, size);
  }

  Fake f{options()};
  flagos_device_t* other = f.open(1);
  flagos_address_t address = 0;
  flagos_external_t external{};
};

std::uint8_t& byte_at(flagos_address_t address) {
  return *reinterpret_cast<std::uint8_t*>(static_cast<std::uintptr_t>(address));
}

}  // namespace

TEST_CASE("external: a blob is refused when any bit of it is another") {
  const HostFile file(1000, 256);
  const flagos_external_t good = export_of(file);
  CHECK(open_blob(good).size_bytes == 1000);
  for (std::size_t i = 0; i < sizeof(good.blob); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      flagos_external_t bad = good;
      bad.blob[i] ^= static_cast<std::uint8_t>(1 << bit);
      CAPTURE(i);
      CHECK(status_of([&] { open_blob(bad); }) == FLAGOS_STATUS_INVALID_HANDLE);
    }
  }
}

TEST_CASE("external: a blob is refused when it is cut, empty or of random bytes") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const HostFile file(page, 256);
  const flagos_external_t good = export_of(file);
  for (std::size_t kept = 0; kept < sizeof(ExternalBlob); kept += 7) {
    flagos_external_t cut = good;
    std::memset(cut.blob + kept, 0, sizeof(cut.blob) - kept);
    CHECK(status_of([&] { open_blob(cut); }) == FLAGOS_STATUS_INVALID_HANDLE);
  }
  for (int i = 0; i < 200; ++i) {
    flagos_external_t noise = good;
    for (std::uint8_t& byte : noise.blob) byte = static_cast<std::uint8_t>(random());
    CHECK(status_of([&] { open_blob(noise); }) == FLAGOS_STATUS_INVALID_HANDLE);
    // With our first bytes in front.
    std::memcpy(noise.blob, good.blob, 16);
    CHECK(status_of([&] { open_blob(noise); }) == FLAGOS_STATUS_INVALID_HANDLE);
  }
}

TEST_CASE("external: blob and descriptor belong together") {
  const HostFile file(page, 256), other(page, 256);
  flagos_external_t mixed = export_of(file);
  mixed.fd = other.fd().get();
  CHECK(status_of([&] { open_blob(mixed); }) == FLAGOS_STATUS_INVALID_HANDLE);
  for (const int fd : {-1, 1'000'000}) {
    mixed.fd = fd;
    CHECK(status_of([&] { open_blob(mixed); }) == FLAGOS_STATUS_INVALID_HANDLE);
  }
  const FileDescriptor copy = flagos::core::duplicate(file.fd().get());
  mixed.fd = copy.get();
  CHECK(open_blob(mixed).nonce == file.nonce());
  CHECK((::fcntl(copy.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("external: two mappings of a file are the same bytes, aligned as asked") {
  for (const std::uint64_t alignment : {std::uint64_t{256}, page, 16 * page, 512 * page}) {
    CAPTURE(alignment);
    const HostFile file(3 * page + 5, alignment);
    const HostFile again(file.fd().get(), file.size_bytes(), file.nonce(), alignment);
    CHECK(reinterpret_cast<std::uintptr_t>(file.data()) % alignment == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(again.data()) % alignment == 0);
    CHECK(file.data() != again.data());
    static_cast<char*>(file.data())[3 * page + 4] = 'x';
    CHECK(static_cast<char*>(again.data())[3 * page + 4] == 'x');
  }
}

TEST_CASE("external: files that are not ours are not mapped, and nothing is kept") {
  const HostFile file(2 * page, 256);
  auto other_nonce = file.nonce();
  other_nonce[15] ^= 1;
  const auto map = [&](int fd, std::uint64_t size, const auto& nonce) {
    return status_of([&] { HostFile(fd, size, nonce, 256); });
  };
  const FileDescriptor unsealed(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(::ftruncate(unsealed.get(), 3 * page) == 0);
  const FileDescriptor sealed(::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  REQUIRE(::ftruncate(sealed.get(), 3 * page) == 0);
  REQUIRE(::fcntl(sealed.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
  const FileDescriptor null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 20; ++i) {
    CHECK(map(file.fd().get(), 2 * page, other_nonce) == FLAGOS_STATUS_INVALID_HANDLE);
    for (const std::uint64_t size : {std::uint64_t{0}, page, 3 * page, UINT64_MAX, UINT64_MAX - page})
      CHECK(map(file.fd().get(), size, file.nonce()) == FLAGOS_STATUS_INVALID_HANDLE);
    CHECK(map(unsealed.get(), 2 * page, file.nonce()) == FLAGOS_STATUS_INVALID_HANDLE);
    CHECK(map(sealed.get(), 2 * page, file.nonce()) == FLAGOS_STATUS_INVALID_HANDLE);
    CHECK(map(null.get(), 2 * page, file.nonce()) == FLAGOS_STATUS_INVALID_HANDLE);
  }
  CHECK(open_descriptors() == before);
  CHECK(map(file.fd().get(), 2 * page, file.nonce()) == FLAGOS_STATUS_OK);
}

TEST_CASE("external: what its owner withdrew is mapped no more; mappings that exist stay") {
  HostFile file(page, 256);
  const HostFile before(file.fd().get(), page, file.nonce(), 256);
  file.withdraw();
  CHECK(before.withdrawn());
  CHECK(status_of([&] { HostFile(file.fd().get(), page, file.nonce(), 256); }) == FLAGOS_STATUS_INVALID_HANDLE);
  std::memset(before.data(), 7, page);
  CHECK(static_cast<char*>(file.data())[page - 1] == 7);
}

TEST_CASE("external memory: the same bytes at every import, each freed by itself") {
  Exporter e(5000);
  std::uint64_t size = 0;
  flagos_address_t first = 0, second = 0;
  REQUIRE(e.import(&first, e.external, &size) == FLAGOS_STATUS_OK);
  REQUIRE(e.import(&second, e.external) == FLAGOS_STATUS_OK);
  CHECK(size == 5000);
  CHECK(first != second);
  CHECK(first != e.address);
  byte_at(e.address + 4999) = 42;
  CHECK(byte_at(first + 4999) == 42);
  byte_at(second) = 17;
  CHECK(byte_at(e.address) == 17);
  // An import can be exported on, and is one more user of the same bytes.
  flagos_external_t on{};
  on.struct_size = sizeof(on);
  REQUIRE(flagos_memory_export(e.other, first, &on) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_free(e.other, first) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_free(e.other, first) == FLAGOS_STATUS_INVALID_HANDLE);
  flagos_address_t third = 0;
  REQUIRE(e.import(&third, on) == FLAGOS_STATUS_OK);
  CHECK(byte_at(third) == 17);
  ::close(on.fd);
  CHECK(flagos_memory_free(e.f.device(), e.address) == FLAGOS_STATUS_OK);
  CHECK(byte_at(second) == 17);
  CHECK(byte_at(third + 4999) == 42);
  CHECK(e.import(&first, e.external) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(first == 0);
  CHECK(flagos_memory_free(e.other, second) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_free(e.other, third) == FLAGOS_STATUS_OK);
}

TEST_CASE("external memory: what cannot be exported") {
  Exporter e(4096);
  flagos_external_t out{};
  out.struct_size = sizeof(out);
  const auto refused = [&](flagos_address_t address) {
    out.fd = 5;
    const flagos_status_t status = flagos_memory_export(e.f.device(), address, &out);
    CHECK(out.fd == -1);
    return status;
  };
  const flagos_address_t plain = e.f.alloc(4096);
  CHECK(refused(plain) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(refused(e.address + 1) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(refused(0) == FLAGOS_STATUS_INVALID_HANDLE);
  const flagos_address_t empty = e.f.alloc(0, FLAGOS_MEMORY_KIND_DEVICE, nullptr, FLAGOS_MEMORY_FLAG_EXPORTABLE);
  CHECK(refused(empty) == FLAGOS_STATUS_INVALID_ARGUMENT);
  for (const flagos_address_t address : {plain, empty, e.address})
    CHECK(flagos_memory_free(e.f.device(), address) == FLAGOS_STATUS_OK);
  CHECK(refused(e.address) == FLAGOS_STATUS_INVALID_HANDLE);
}

TEST_CASE("external memory: devices that register nothing export nothing and import nothing") {
  Exporter e(4096);
  Fake plain;
  const flagos_memory_desc_t desc = exportable(FLAGOS_MEMORY_KIND_PINNED, 64);
  flagos_address_t address = 1;
  CHECK(flagos_memory_alloc(plain.device(), &desc, &address) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(flagos_memory_import(plain.device(), &e.external, &address, nullptr) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(address == 0);
  CHECK(flagos_memory_free(e.f.device(), e.address) == FLAGOS_STATUS_OK);
}

namespace {

// A plugin that exports by itself: the address goes with an empty file, and its imports are blocks of their own.
bool exports_nothing = false;

FakeOptions with_own_export() {
  exports_nothing = false;
  FakeOptions options;
  options.native = true;
  options.change = [](FakeTables& tables) {
    static flagos_status_t (*own_alloc)(flagos_plugin_device_t*, const flagos_memory_desc_t*, flagos_address_t*);
    own_alloc = tables.memory.alloc;
    tables.interop.export_memory = [](flagos_plugin_device_t*, flagos_address_t address,
                                      flagos_plugin_external_t* out) {
      if (exports_nothing) return flagos_status_t{FLAGOS_STATUS_OK};
      out->fd = ::memfd_create("own", MFD_CLOEXEC);
      out->type = 5;
      std::memcpy(out->data, &address, sizeof(address));
      return flagos_status_t{FLAGOS_STATUS_OK};
    };
    tables.interop.import_memory = [](flagos_plugin_device_t* device, const flagos_plugin_external_t* external,
                                      flagos_address_t* out) {
      CHECK(external->type == 5);
      flagos_memory_desc_t desc{};
      desc.struct_size = sizeof(desc);
      desc.size_bytes = external->size_bytes;
      return own_alloc(device, &desc, out);
    };
  };
  return options;
}

}  // namespace

TEST_CASE("external memory: a plugin that exports by itself") {
  Fake f(with_own_export());
  flagos_device_t* const second = f.open(1);
  const flagos_address_t address = f.alloc(5000, FLAGOS_MEMORY_KIND_DEVICE, nullptr, FLAGOS_MEMORY_FLAG_EXPORTABLE);
  flagos_external_t external{};
  external.struct_size = sizeof(external);
  REQUIRE(flagos_memory_export(f.device(), address, &external) == FLAGOS_STATUS_OK);
  CHECK(external.fd >= 0);
  flagos_address_t imported = 0;
  std::uint64_t size = 0;
  REQUIRE(flagos_memory_import(second, &external, &imported, &size) == FLAGOS_STATUS_OK);
  CHECK(size == 5000);
  flagos_memory_info_t info{};
  info.struct_size = sizeof(info);
  REQUIRE(flagos_memory_get_info(second, imported, &info) == FLAGOS_STATUS_OK);
  CHECK(info.size_bytes == 5000);
  CHECK(flagos_memory_free(second, imported) == FLAGOS_STATUS_OK);

  // Another plugin does not know what it is.
  FakeOptions named = with_own_export();
  named.name = "stranger";
  Fake stranger(named);
  CHECK(flagos_memory_import(stranger.device(), &external, &imported, nullptr) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(imported == 0);
  ::close(external.fd);
  exports_nothing = true;
  CHECK(flagos_memory_export(f.device(), address, &external) == FLAGOS_STATUS_PLUGIN_PROTOCOL);
  CHECK(external.fd == -1);
  CHECK(flagos_memory_free(f.device(), address) == FLAGOS_STATUS_OK);
}

TEST_CASE("external memory: a device behind a bus exports pinned memory only") {
  FakeOptions options = Exporter::options();
  options.foreign_memory = 1;
  Fake f(options);
  const flagos_memory_desc_t desc = exportable(FLAGOS_MEMORY_KIND_DEVICE, 4096);
  flagos_address_t address = 0;
  CHECK(flagos_memory_alloc(f.device(), &desc, &address) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(std::string(flagos_last_error()).find("exports pinned memory only") != std::string::npos);
}
