#include "tools/npy.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "tools/command.hpp"

namespace flagos::tools {
namespace {

namespace fs = std::filesystem;

struct File {
  std::string path = (fs::temp_directory_path() / "flagos-npy-test.npy").string();
  ~File() { fs::remove(path); }
  std::string bytes() const {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void put(const std::string& text) const { std::ofstream(path, std::ios::binary) << text; }
};

TEST_CASE("npy: what is written is read again") {
  const File file;
  for (const std::vector<std::uint64_t>& shape :
       std::vector<std::vector<std::uint64_t>>{{}, {3}, {2, 3}, {0, 4}}) {
    Array array;
    array.dtype = FLAGOS_DTYPE_INT32;
    array.shape = shape;
    for (std::uint64_t i = 0; i < array.count() * 4; ++i)
      array.data.push_back(static_cast<std::byte>(i));
    write_npy(file.path, array);
    CHECK(file.bytes().size() == 128 + array.data.size());
    const Array read = read_npy(file.path);
    CHECK(read.dtype == array.dtype);
    CHECK(read.shape == array.shape);
    CHECK(read.data == array.data);
  }
}

TEST_CASE("npy: files that are none") {
  const File file;
  CHECK_THROWS_AS(read_npy("/none-such.npy"), CommandError);
  Array array;
  array.shape = {4, 4};
  array.data.resize(64);
  write_npy(file.path, array);
  const std::string good = file.bytes();
  for (const std::size_t size : {0, 3, 6, 8, 9, 40, 127, 128, 191}) {
    file.put(good.substr(0, size));
    CHECK_THROWS_AS(read_npy(file.path), CommandError);
  }
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    file.put(text);
  };
  with("False", "True ");
  CHECK_THROWS_AS(read_npy(file.path), CommandError);
  with("<f4", "<c8");
  CHECK_THROWS_AS(read_npy(file.path), CommandError);
  with("(4, 4)", "(4, x)");
  CHECK_THROWS_AS(read_npy(file.path), CommandError);
  with("(4, 4)", "(9, 9)");
  CHECK_THROWS_AS(read_npy(file.path), CommandError);
  CHECK_THROWS_AS(parse_dtype("f12"), UsageError);
}

}  // namespace
}  // namespace flagos::tools
