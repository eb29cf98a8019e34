/* Solves the puzzle of a sign-up form before it is sent, so that programs that sign up thousands pay for it. Nothing
   is sent anywhere but to the server of the form. Without this script the form works too.

   A form with data-postlane and data-challenge="https://…/s/ID/challenge" is looked after by itself. Pages that send
   JSON call postlane.solve(url), and send the two values they get along with the rest. */
(function () {
  "use strict";

  var K = new Int32Array([
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
  ]);
  var H = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
  ];
  var STEP = 4000; // tries between two breaths of the page
  var MOST_MS = 20000; // a device that is slower sends the form as it is

  var w = new Int32Array(64);

  /* The first 32 bits of the SHA-256 of at most 55 ASCII characters. */
  function firstWord(text) {
    var i, t1, t2, a, b, c, d, e, f, g, h;
    w.fill(0, 0, 16);
    for (i = 0; i < text.length; i++) w[i >> 2] |= text.charCodeAt(i) << (24 - (i & 3) * 8);
    w[i >> 2] |= 0x80 << (24 - (i & 3) * 8);
    w[15] = text.length * 8;
    for (i = 16; i < 64; i++) {
      t1 = w[i - 15];
      t2 = w[i - 2];
      w[i] = (w[i - 16] + w[i - 7] +
        ((t1 >>> 7 | t1 << 25) ^ (t1 >>> 18 | t1 << 14) ^ t1 >>> 3) +
        ((t2 >>> 17 | t2 << 15) ^ (t2 >>> 19 | t2 << 13) ^ t2 >>> 10)) | 0;
    }
    a = H[0] | 0; b = H[1] | 0; c = H[2] | 0; d = H[3] | 0;
    e = H[4] | 0; f = H[5] | 0; g = H[6] | 0; h = H[7] | 0;
    for (i = 0; i < 64; i++) {
      t1 = (h + ((e >>> 6 | e << 26) ^ (e >>> 11 | e << 21) ^ (e >>> 25 | e << 7)) + (e & f ^ ~e & g) + K[i] + w[i]) | 0;
      t2 = (((a >>> 2 | a << 30) ^ (a >>> 13 | a << 19) ^ (a >>> 22 | a << 10)) + (a & b ^ a & c ^ b & c)) | 0;
      h = g; g = f; f = e; e = (d + t1) | 0;
      d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    return (H[0] + a) | 0;
  }

  function answerTo(puzzle) {
    var n = 0, ends = Date.now() + MOST_MS, prefix = puzzle.challenge + ":";
    return new Promise(function (done, failed) {
      (function on() {
        for (var last = n + STEP; n < last; n++) {
          if (firstWord(prefix + n) >>> (32 - puzzle.bits) === 0) {
            done({ challenge: puzzle.challenge, answer: String(n) });
            return;
          }
        }
        if (Date.now() > ends) failed(new Error("slow"));
        else setTimeout(on, 0);
      })();
    });
  }

  function solve(url) {
    return fetch(url, { cache: "no-store" }).then(function (answer) {
      if (!answer.ok) throw new Error(String(answer.status));
      return answer.json();
    }).then(answerTo);
  }

  function put(form, name, value) {
    var field = form.querySelector('input[name="' + name + '"]');
    if (!field) {
      field = document.createElement("input");
      field.type = "hidden";
      field.name = name;
      form.appendChild(field);
    }
    field.value = value;
  }

  function lookAfter(form) {
    var begun = null, sending = false;
    function begin() {
      begun = begun || solve(form.getAttribute("data-challenge")).catch(function () { return null; });
    }
    form.addEventListener("focusin", begin, { once: true });
    form.addEventListener("submit", function (event) {
      var button = form.querySelector("button");
      event.preventDefault();
      if (sending) return;
      sending = true;
      if (button) button.setAttribute("aria-busy", "true");
      begin();
      begun.then(function (solved) {
        if (solved) {
          put(form, "challenge", solved.challenge);
          put(form, "answer", solved.answer);
        }
        HTMLFormElement.prototype.submit.call(form);
      });
    });
    // Back from the next page: a challenge counts once.
    window.addEventListener("pageshow", function () {
      begun = null;
      sending = false;
      var button = form.querySelector("button");
      if (button) button.removeAttribute("aria-busy");
    });
  }

  window.postlane = { solve: solve };
  Array.prototype.forEach.call(document.querySelectorAll("form[data-postlane]"), lookAfter);
})();
