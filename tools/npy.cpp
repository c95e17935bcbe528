#include "tools/npy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>

#include "tools/command.hpp"

namespace flagos::tools {
namespace {

constexpr char magic[] = "\x93NUMPY";
constexpr std::size_t magic_bytes = 6;
constexpr std::size_t largest_header = std::size_t{1} << 20;

struct TypeRow {
  const char* numpy;
  const char* name;
  flagos_dtype_t dtype;
};
// The first of a numpy type is what a file of it is read as.
constexpr TypeRow types[] = {
    {"<f4", "f32", FLAGOS_DTYPE_FLOAT32},  {"<f8", "f64", FLAGOS_DTYPE_FLOAT64},
    {"<f2", "f16", FLAGOS_DTYPE_FLOAT16},  {"<i4", "i32", FLAGOS_DTYPE_INT32},
    {"<i8", "i64", FLAGOS_DTYPE_INT64},    {"<i2", "i16", FLAGOS_DTYPE_INT16},
    {"|i1", "i8", FLAGOS_DTYPE_INT8},      {"|u1", "u8", FLAGOS_DTYPE_UINT8},
    {"<u2", "u16", FLAGOS_DTYPE_UINT16},   {"<u4", "u32", FLAGOS_DTYPE_UINT32},
    {"<u8", "u64", FLAGOS_DTYPE_UINT64},   {"|b1", "i1", FLAGOS_DTYPE_BOOL},
    {"<u2", "bf16", FLAGOS_DTYPE_BFLOAT16}};

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw CommandError(fmt::format("'{}': {}", path, why));
}

// What stands behind 'key': in the header, which is the text of a Python dictionary.
std::string_view value_of(const std::string& path, std::string_view header, std::string_view key) {
  const std::string mark = fmt::format("'{}':", key);
  const std::size_t at = header.find(mark);
  if (at == std::string_view::npos) refuse(path, fmt::format("its header has no {}", key));
  std::string_view rest = header.substr(at + mark.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  return rest;
}

std::vector<std::uint64_t> parse_shape(const std::string& path, std::string_view text) {
  std::vector<std::uint64_t> shape;
  if (!text.starts_with('(')) refuse(path, "its shape is no tuple");
  for (const char* at = text.data() + 1; at != text.data() + text.size();) {
    if (*at == ')') return shape;
    if (*at == ' ' || *at == ',') {
      ++at;
      continue;
    }
    std::uint64_t extent = 0;
    const auto [end, error] = std::from_chars(at, text.data() + text.size(), extent);
    if (error != std::errc() || end == at || extent > (std::uint64_t{1} << 40)) break;
    shape.push_back(extent);
    at = end;
  }
  refuse(path, "its shape is no list of extents");
}

std::size_t read_header_size(std::ifstream& file, const std::string& path) {
  char start[8];
  if (!file.read(start, sizeof(start)) || std::memcmp(start, magic, magic_bytes) != 0)
    refuse(path, "no .npy file");
  std::uint32_t size = 0;
  file.read(reinterpret_cast<char*>(&size), start[6] == 1 ? 2 : 4);
  if (!file || size > largest_header) refuse(path, "its header is cut or too long");
  return size;
}

}  // namespace

std::uint64_t Array::count() const {
  std::uint64_t count = 1;
  for (const std::uint64_t extent : shape) count *= extent;
  return count;
}

std::uint32_t element_bytes(flagos_dtype_t dtype) { return (FLAGOS_DTYPE_BITS(dtype) + 7) / 8; }

flagos_dtype_t parse_dtype(const std::string& name) {
  std::vector<std::string> names;
  for (const TypeRow& row : types) {
    if (name == row.name) return row.dtype;
    names.emplace_back(row.name);
  }
  throw UsageError(
      fmt::format("'{}' is no element type; there are {}", name, fmt::join(names, ", ")));
}

Array read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse(path, fmt::format("it cannot be read: {}", std::strerror(errno)));
  std::string header(read_header_size(file, path), '\0');
  if (!file.read(header.data(), static_cast<std::streamsize>(header.size())))
    refuse(path, "its header is cut");
  const std::string_view descr = value_of(path, header, "descr");
  if (!value_of(path, header, "fortran_order").starts_with("False"))
    refuse(path, "its order is not row-major");
  Array array;
  const TypeRow* type = std::find_if(std::begin(types), std::end(types), [&](const TypeRow& row) {
    return descr.starts_with(fmt::format("'{}'", row.numpy));
  });
  if (type == std::end(types))
    refuse(path, fmt::format("elements of type {:.12} are not known", descr));
  array.dtype = type->dtype;
  array.shape = parse_shape(path, value_of(path, header, "shape"));
  array.data.resize(0);
  const std::string rest{std::istreambuf_iterator<char>(file), {}};
  std::uint64_t wanted = element_bytes(array.dtype);
  for (const std::uint64_t extent : array.shape) {
    if (extent != 0 && wanted > rest.size() / extent)
      refuse(path, fmt::format("it ends after {} bytes of data", rest.size()));
    wanted *= extent;
  }
  array.data.resize(wanted);
  std::memcpy(array.data.data(), rest.data(), wanted);
  return array;
}

void write_npy(const std::string& path, const Array& array) {
  const TypeRow* type = std::find_if(std::begin(types), std::end(types),
                                     [&](const TypeRow& row) { return row.dtype == array.dtype; });
  if (type == std::end(types)) refuse(path, "elements of this type have no form in a .npy file");
  std::string header =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}{}), }}", type->numpy,
                  fmt::join(array.shape, ", "), array.shape.size() == 1 ? "," : "");
  constexpr std::size_t unit = 64;
  const std::size_t start = magic_bytes + 4;
  header.append(unit - (start + header.size() + 1) % unit, ' ');
  header += '\n';
  const auto size = static_cast<std::uint16_t>(header.size());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(magic, magic_bytes);
  file.write("\x01\x00", 2);
  file.write(reinterpret_cast<const char*>(&size), sizeof(size));
  file << header;
  file.write(reinterpret_cast<const char*>(array.data.data()),
             static_cast<std::streamsize>(array.data.size()));
  file.close();
  if (!file) refuse(path, "it cannot be written");
}

}  // namespace flagos::tools
