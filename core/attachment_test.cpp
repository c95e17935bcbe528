// What libraries built on flagos keep with a device.
#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "core/test_plugin.hpp"

using flagos::core::test::Fake;

namespace {

// Memory that a library holds on a device.
struct Library {
  flagos_address_t memory = 0;
  int releases = 0;
};
void release(flagos_device_t* device, void* attachment) {
  auto* const library = static_cast<Library*>(attachment);
  CHECK(flagos_memory_free(device, library->memory) == FLAGOS_STATUS_OK);
  ++library->releases;
}
const char key = 0, other_key = 0;

flagos_address_t allocate(flagos_device_t* device) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof(desc);
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 64;
  flagos_address_t address = 0;
  REQUIRE(flagos_memory_alloc(device, &desc, &address) == FLAGOS_STATUS_OK);
  return address;
}

flagos_device_t* open(Fake& f) {
  flagos_device_t* device = nullptr;
  REQUIRE(flagos_device_open(f.runtime(), 0, &device) == FLAGOS_STATUS_OK);
  return device;
}

}  // namespace

TEST_CASE("attachments: kept by key, released by close, and do not make a device busy") {
  Fake f;
  flagos_device_t* const device = open(f);
  Library first{allocate(device)}, second{allocate(device)};
  void* kept = nullptr;
  CHECK(flagos_device_get_attachment(device, &key, &kept) == FLAGOS_STATUS_OK);
  CHECK(kept == nullptr);
  REQUIRE(flagos_device_attach(device, &key, &first, release, &kept) == FLAGOS_STATUS_OK);
  CHECK(kept == &first);
  REQUIRE(flagos_device_attach(device, &other_key, &second, release, &kept) == FLAGOS_STATUS_OK);
  CHECK(kept == &second);
  Library late;
  REQUIRE(flagos_device_attach(device, &key, &late, release, &kept) == FLAGOS_STATUS_OK);
  CHECK(kept == &first);
  CHECK(flagos_device_get_attachment(device, &other_key, &kept) == FLAGOS_STATUS_OK);
  CHECK(kept == &second);

  CHECK(flagos_device_close(device) == FLAGOS_STATUS_OK);
  CHECK(first.releases == 1);
  CHECK(second.releases == 1);
  CHECK(late.releases == 0);
}

TEST_CASE("attachments: a close that fails has released them, and others can be made") {
  Fake f;
  flagos_device_t* const device = open(f);
  const flagos_address_t own = allocate(device);
  Library library{allocate(device)};
  void* kept = nullptr;
  REQUIRE(flagos_device_attach(device, &key, &library, release, &kept) == FLAGOS_STATUS_OK);
  CHECK(flagos_device_close(device) == FLAGOS_STATUS_BUSY);
  CHECK(library.releases == 1);
  library.memory = allocate(device);
  REQUIRE(flagos_device_attach(device, &key, &library, release, &kept) == FLAGOS_STATUS_OK);
  CHECK(flagos_memory_free(device, own) == FLAGOS_STATUS_OK);
  CHECK(flagos_device_close(device) == FLAGOS_STATUS_OK);
  CHECK(library.releases == 2);
}

TEST_CASE("attachments: the end of the runtime releases them") {
  Library library;
  {
    Fake f;
    flagos_device_t* const device = open(f);
    library.memory = allocate(device);
    void* kept = nullptr;
    REQUIRE(flagos_device_attach(device, &key, &library, release, &kept) == FLAGOS_STATUS_OK);
  }
  CHECK(library.releases == 1);
}

TEST_CASE("attachments: of many threads one attaches, and all see the same") {
  Fake f;
  flagos_device_t* const device = open(f);
  constexpr int count = 8;
  std::vector<Library> libraries(count);
  for (Library& library : libraries) library.memory = allocate(device);
  std::vector<void*> kept(count);
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&, i] { flagos_device_attach(device, &key, &libraries[i], release, &kept[i]); });
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < count; ++i) {
    CHECK(kept[i] == kept[0]);
    if (&libraries[i] != kept[0]) CHECK(flagos_memory_free(device, libraries[i].memory) == FLAGOS_STATUS_OK);
  }
  CHECK(flagos_device_close(device) == FLAGOS_STATUS_OK);
}

TEST_CASE("libraries set the text of a failure") {
  flagos_set_last_error("softmax: dim is 5");
  CHECK(std::string(flagos_last_error()) == "softmax: dim is 5");
  flagos_set_last_error(nullptr);
  CHECK(std::string(flagos_last_error()) == "softmax: dim is 5");
  flagos_set_last_error(std::string(5000, 'x').c_str());
  CHECK(std::string(flagos_last_error()) == std::string(1023, 'x'));
}

TEST_CASE("streams know their device") {
  Fake f;
  flagos_device_t* device = nullptr;
  CHECK(flagos_stream_get_device(f.stream(), &device) == FLAGOS_STATUS_OK);
  CHECK(device == f.device());
  CHECK(flagos_stream_get_device(nullptr, &device) == FLAGOS_STATUS_INVALID_HANDLE);
  CHECK(device == nullptr);
}
