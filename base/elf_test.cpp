#include "base/elf.hpp"

#include <doctest/doctest.h>
#include <elf.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace {

using flagos::ElfLibrary;
using flagos::Error;
using flagos::read_elf_library;

std::vector<std::byte> read_file(const char* path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  const std::vector<char> text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<std::byte> bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

const std::vector<std::byte>& sample() {
  static const std::vector<std::byte> bytes = read_file(FLAGOS_ELF_TEST_LIBRARY);
  return bytes;
}

flagos_status_t status_of(std::span<const std::byte> bytes) {
  try {
    read_elf_library(bytes);
    return FLAGOS_STATUS_OK;
  } catch (const Error& error) {
    CHECK(std::strlen(error.what()) > 0);
    return error.status();
  }
}

TEST_CASE("elf: exported functions and data are listed, the rest is not") {
  const ElfLibrary library = read_elf_library(sample());
  CHECK(library.exports("elf_test_function"));
  CHECK(library.exports("elf_test_data"));
  CHECK_FALSE(library.exports("elf_test_hidden"));
  CHECK_FALSE(library.exports("elf_test_static"));
  CHECK_FALSE(library.exports("puts"));  // used, not defined
  for (const flagos::ElfSymbol& symbol : library.exported) {
    if (symbol.name == "elf_test_function") CHECK(symbol.function);
    if (symbol.name == "elf_test_data") {
      CHECK_FALSE(symbol.function);
      CHECK(symbol.size == 28);
    }
  }
  // A sanitizer's library may come before it.
  CHECK(std::any_of(library.needed.begin(), library.needed.end(),
                    [](const std::string& name) { return name.starts_with("libc."); }));
}

TEST_CASE("elf: no byte may be missing at the end") {
  const std::span<const std::byte> bytes = sample();
  const std::size_t step = bytes.size() / 997 + 1;
  for (std::size_t size = 0; size < bytes.size(); size += step)
    CHECK(status_of(bytes.first(size)) == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(status_of(bytes.first(bytes.size() - 1)) == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(status_of(bytes) == FLAGOS_STATUS_OK);
}

TEST_CASE("elf: other files are named for what they are") {
  CHECK(status_of({}) == FLAGOS_STATUS_INVALID_IMAGE);
  std::vector<std::byte> text(4096, std::byte{'x'});
  CHECK(status_of(text) == FLAGOS_STATUS_INVALID_IMAGE);

  auto changed = [](std::size_t offset, std::uint16_t value, std::size_t size) {
    std::vector<std::byte> bytes = sample();
    std::memcpy(bytes.data() + offset, &value, size);
    return status_of(bytes);
  };
  CHECK(changed(offsetof(Elf64_Ehdr, e_machine), EM_S390, 2) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(changed(EI_CLASS, ELFCLASS32, 1) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(changed(EI_DATA, ELFDATA2MSB, 1) == FLAGOS_STATUS_UNSUPPORTED);
  CHECK(changed(EI_VERSION, 9, 1) == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(changed(offsetof(Elf64_Ehdr, e_type), ET_REL, 2) == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(changed(offsetof(Elf64_Ehdr, e_phnum), 0, 2) == FLAGOS_STATUS_INVALID_IMAGE);
  CHECK(changed(offsetof(Elf64_Ehdr, e_phentsize), 8, 2) == FLAGOS_STATUS_INVALID_IMAGE);
}

TEST_CASE("elf: spoiled and random bytes are judged, never followed out of the image") {
  const auto seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  std::uniform_int_distribution<int> byte(0, 255);
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> bytes = sample();
    for (int change = 0; change < 8; ++change) bytes[random() % bytes.size()] = static_cast<std::byte>(byte(random));
    refused += status_of(bytes) != FLAGOS_STATUS_OK;
    // The tables that matter most stand in front.
    for (int change = 0; change < 8; ++change) bytes[random() % 1024] = static_cast<std::byte>(byte(random));
    refused += status_of(bytes) != FLAGOS_STATUS_OK;
  }
  CHECK(refused > 1000);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::byte> bytes(random() % 4096);
    for (std::byte& value : bytes) value = static_cast<std::byte>(byte(random));
    CHECK(status_of(bytes) == FLAGOS_STATUS_INVALID_IMAGE);
  }
}

TEST_CASE("elf: bytes at an odd address are read") {
  std::vector<std::byte> shifted(sample().size() + 1);
  std::memcpy(shifted.data() + 1, sample().data(), sample().size());
  CHECK(status_of(std::span<const std::byte>(shifted).subspan(1)) == FLAGOS_STATUS_OK);
}

}  // namespace
