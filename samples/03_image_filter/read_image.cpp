#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "samples/03_image_filter/image.hpp"

namespace flagos::samples {
namespace {

// Closes the file on every way out.
struct File {
  explicit File(const std::string& path)
      : descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~File() {
    if (descriptor >= 0) ::close(descriptor);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int descriptor;
};

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw ImageError("cannot read '" + path + "': " + what);
}

std::string read_file(const std::string& path) {
  const File file(path);
  struct stat status {};
  if (file.descriptor < 0 || ::fstat(file.descriptor, &status) != 0) {
    fail(path, std::string(std::strerror(errno)) + "; check the name and its permissions");
  }
  if (S_ISDIR(status.st_mode)) fail(path, "it is a folder; name an image file in it");
  if (!S_ISREG(status.st_mode))
    fail(path, "it is not a regular file; save the image to a file first");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size == 0) fail(path, "the file is empty; save or copy the image again");
  if (size > largest_file) {
    fail(path, "the file has " + std::to_string(size) + " bytes; at most " +
                   std::to_string(largest_file) + " are read, scale the image down");
  }
  std::string data(size, '\0');
  std::uint64_t done = 0;
  while (done < size) {
    const ssize_t count = ::read(file.descriptor, data.data() + done, size - done);
    if (count < 0) fail(path, std::string(std::strerror(errno)) + "; check the disk");
    if (count == 0) break;  // it shrank meanwhile; what is missing is found below
    done += static_cast<std::uint64_t>(count);
  }
  data.resize(done);
  return data;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Text for a message: short, and without control characters.
std::string shown(std::string_view text) {
  std::string result;
  for (const char c : text.substr(0, 12)) result += c >= ' ' && c <= '~' ? c : '?';
  return result;
}

class Parser {
 public:
  explicit Parser(const std::string& path) : path_(path), data_(read_file(path)) {}

  Image parse() {
    const char kind = magic();
    Image image;
    image.channels = kind == '3' || kind == '6' ? 3 : 1;
    image.width = number("width", largest_side);
    image.height = number("height", largest_side);
    image.maximum = number("maximum value", 65535);
    const bool text = kind == '2' || kind == '3';
    const std::uint64_t count = std::uint64_t{image.width} * image.height * image.channels;
    reserve(image, count, text);
    if (text) {
      for (auto& sample : image.samples) sample = text_sample(image.maximum);
    } else {
      read_binary(image);
    }
    check_rest();
    return image;
  }

 private:
  char magic() {
    const std::string_view start = std::string_view(data_).substr(0, 2);
    if (start.size() < 2 || start[0] != 'P' || std::strchr("2356", start[1]) == nullptr) {
      fail(path_, "it starts with '" + shown(start) +
                      "', not with P2, P3, P5 or P6; convert it to .ppm or .pgm");
    }
    position_ = 2;
    if (position_ == data_.size() || !is_space(data_[position_])) {
      fail(path_, "the header is broken behind '" + shown(start) + "'; convert the image again");
    }
    return start[1];
  }

  // Skips white space, and comments from # to the end of the line.
  void skip_space() {
    while (position_ < data_.size()) {
      if (data_[position_] == '#') {
        while (position_ < data_.size() && data_[position_] != '\n' && data_[position_] != '\r')
          ++position_;
      } else if (is_space(data_[position_])) {
        ++position_;
      } else {
        return;
      }
    }
  }

  std::uint32_t number(const char* what, std::uint32_t most) {
    skip_space();
    if (position_ == data_.size())
      fail(path_, std::string("it ends before the ") + what + "; save or copy it again");
    const std::size_t start = position_;
    std::uint64_t value = 0;
    while (position_ < data_.size() && is_digit(data_[position_])) {
      if (value <= most) value = value * 10 + static_cast<std::uint64_t>(data_[position_] - '0');
      ++position_;
    }
    const std::string found = shown(std::string_view(data_).substr(start, position_ - start + 1));
    if (position_ == start ||
        (position_ < data_.size() && !is_space(data_[position_]) && data_[position_] != '#')) {
      fail(path_, std::string("the ") + what + " '" + found +
                      "' is not a number; convert the image again");
    }
    if (value == 0 || value > most) {
      fail(path_, std::string("the ") + what + " " +
                      shown(std::string_view(data_).substr(start, position_ - start)) +
                      " is not in 1 .. " + std::to_string(most) + "; scale or convert the image");
    }
    return static_cast<std::uint32_t>(value);
  }

  // Looks at the size of the file before it believes the header and allocates.
  void reserve(Image& image, std::uint64_t count, bool text) {
    if (!text) {
      if (position_ == data_.size() || !is_space(data_[position_])) {
        fail(path_, "the header does not end with one white space; convert the image again");
      }
      ++position_;
    }
    const std::uint64_t rest = data_.size() - position_;
    const std::uint64_t least = text ? 2 * count - 1 : count * (image.maximum > 255 ? 2 : 1);
    if (rest < least) {
      fail(path_, "the image is truncated: " + std::to_string(image.width) + " x " +
                      std::to_string(image.height) + " pixels need " + std::to_string(least) +
                      " bytes, " + std::to_string(rest) + " are there; save or copy it again");
    }
    image.samples.resize(count);
  }

  std::uint16_t text_sample(std::uint32_t maximum) {
    skip_space();
    if (position_ == data_.size())
      fail(path_, "the image is truncated: pixels are missing; save or copy it again");
    std::uint64_t value = 0;
    const std::size_t start = position_;
    while (position_ < data_.size() && is_digit(data_[position_])) {
      if (value <= 65535) value = value * 10 + static_cast<std::uint64_t>(data_[position_] - '0');
      ++position_;
    }
    if (position_ == start ||
        (position_ < data_.size() && !is_space(data_[position_]) && data_[position_] != '#')) {
      fail(path_, "'" + shown(std::string_view(data_).substr(start, 6)) +
                      "' among the pixels is not a number; convert the image again");
    }
    return checked(value, maximum);
  }

  void read_binary(Image& image) {
    const auto* bytes = reinterpret_cast<const unsigned char*>(data_.data()) + position_;
    const bool wide = image.maximum > 255;
    for (auto& sample : image.samples) {
      const std::uint32_t high = wide ? *bytes++ : 0u;
      sample = checked(high * 256 + *bytes++, image.maximum);
    }
    position_ += image.samples.size() * (wide ? 2 : 1);
  }

  std::uint16_t checked(std::uint64_t value, std::uint32_t maximum) {
    if (value > maximum) {
      fail(path_, "the pixel value " + std::to_string(value) + " is above the maximum value " +
                      std::to_string(maximum) + "; convert the image again");
    }
    return static_cast<std::uint16_t>(value);
  }

  void check_rest() {
    const std::size_t end = position_;
    skip_space();
    if (position_ < data_.size()) {
      fail(path_, std::to_string(data_.size() - end) +
                      " bytes follow the image; save it as a file of one image");
    }
  }

  const std::string& path_;
  std::string data_;
  std::size_t position_ = 0;
};

}  // namespace

Image read_image(const std::string& path) { return Parser(path).parse(); }

}  // namespace flagos::samples
